# What CI calls and what the README names. Every target sets up what it needs; a second call installs nothing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
RUNTIME_VENV := .venv-runtime
RAY_PACKAGES := ray attrs jsonschema jsonschema-specifications msgpack referencing rpds-py
RUNTIME_PACKAGES := onnxruntime numpy tokenizers jinja2 markupsafe usearch numkong tqdm cryptography cffi pycparser
# Modules are compiled when they are first imported: most of torch's never are.
PIP := pip install --no-compile --constraint constraints.txt
# Only files whose SHA-256 is listed, and nothing that is not: docs/supply-chain.md.
VERIFIED := pip install --no-compile --no-deps --require-hashes
# A worker for each core; tests/conftest.py says which files stay together and which go first. The rooms of the
# runtime's tests run once, in the environment that `test-runtime` builds; `pytest` by hand runs everything here.
# One seed, so that a commit's tests give the same result each time; `make test-all` draws new property-based inputs.
SEED := --hypothesis-seed 0
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses logical --maxprocesses 4 --dist loadfile \
	--no-loadscope-reorder --ignore-glob 'tests/runtime/*/*'

.PHONY: demo demo-dates test test-all test-runtime test-distributed test-faults test-threads fuzz test-ecosystem check format docs bench bench-all dist hashes notice sbom install clean
.DEFAULT_GOAL := test

install: $(INSTALLED)

$(INSTALLED): pyproject.toml runtime/pyproject.toml constraints.txt hashes/build.txt hashes/toolchain.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "ftool needs Python 3.11 or later; name one: make PYTHON=python3.12"; exit 2; }
	@echo "Installing ftool into $(VENV), once: PyTorch, transformers, onnxruntime and their like, 2.1 GB on disk."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/$(VERIFIED) --quiet --requirement hashes/build.txt
	$(BIN)/$(VERIFIED) --no-build-isolation --requirement hashes/toolchain.txt
	$(BIN)/$(PIP) torch
	$(BIN)/$(PIP) --quiet --no-deps --no-build-isolation --editable runtime --editable .
	$(BIN)/pip check
	@touch $@

demo: $(INSTALLED)
	$(BIN)/ftool demo

demo-dates: $(INSTALLED)
	$(BIN)/ftool demo dates

test: $(INSTALLED)
	$(PYTEST) $(SEED) -m "not slow"
	@$(MAKE) --no-print-directory test-runtime

test-all: $(INSTALLED)
	$(PYTEST)
	@$(MAKE) --no-print-directory test-runtime

# tests/runtime in an environment made from the wheel, which holds onnxruntime, numpy, tokenizers and what the extras need.
test-runtime: $(INSTALLED)
	rm -rf $(RUNTIME_VENV) && $(PYTHON) -m venv $(RUNTIME_VENV)
	$(BIN)/python -m build --quiet --no-isolation --wheel --outdir $(RUNTIME_VENV)/wheel runtime
	$(RUNTIME_VENV)/bin/$(VERIFIED) --quiet --requirement hashes/runtime-only.txt --requirement hashes/runtime-tests.txt
	$(RUNTIME_VENV)/bin/pip install --quiet --no-compile --no-deps $(RUNTIME_VENV)/wheel/*.whl
	FTOOL_RUNTIME_ONLY=1 $(RUNTIME_VENV)/bin/pytest --numprocesses logical --maxprocesses 4 --dist loadfile $(SEED) tests/runtime

# Ray takes 206 MB, so it is in a folder of its own, which only these tests see.
DISTRIBUTED_PACKAGES := .ray-packages
test-distributed: $(INSTALLED) $(DISTRIBUTED_PACKAGES)/.installed
	PYTHONPATH=$(CURDIR):$(CURDIR)/$(DISTRIBUTED_PACKAGES) OMP_NUM_THREADS=1 $(BIN)/pytest $(SEED) tests/distributed

$(DISTRIBUTED_PACKAGES)/.installed: hashes/ray.txt
	rm -rf $(DISTRIBUTED_PACKAGES)
	$(BIN)/$(VERIFIED) --quiet --target $(DISTRIBUTED_PACKAGES) --requirement hashes/ray.txt
	@touch $@

# Kills, full disks and read-only folders for each command; writes the table of docs/reliability.md. Linux only; needs a C compiler.
FAULTS := $(BIN)/python -m tests.faults
FAULTS_OF_TRAINING := --command "train, head" --command "train, full" --command "train, LoRA" --command "train, resumed"
FAULTS_OF_THE_REST := --command export --command adapt --command "index, words only" --command "index, embedder" \
	--command predict --command "predict, runtime"
test-faults: $(INSTALLED)
	rm -rf build/faults && mkdir -p build/faults
	$(FAULTS) $(FAULTS_OF_TRAINING) --json build/faults/training.json & training=$$!; \
	$(FAULTS) $(FAULTS_OF_THE_REST) --json build/faults/rest.json; rest=$$?; wait $$training && exit $$rest
	$(FAULTS) --table build/faults/training.json build/faults/rest.json

# 24 threads make 100,000 calls while models are loaded and closed; writes the table of docs/reliability.md.
test-threads: $(INSTALLED)
	$(BIN)/python -m tests.threads --table

# A million spoiled files for every reader; writes the table of docs/reliability.md. About an hour and a half on two cores. Linux only.
FUZZ_PACKAGES := .fuzz-packages
fuzz: $(INSTALLED) $(FUZZ_PACKAGES)/.installed
	rm -rf build/fuzz
	PYTHONPATH=$(FUZZ_PACKAGES) $(BIN)/python -m tests.fuzz --table

$(FUZZ_PACKAGES)/.installed: hashes/fuzz.txt
	rm -rf $(FUZZ_PACKAGES)
	$(BIN)/$(VERIFIED) --quiet --target $(FUZZ_PACKAGES) --requirement hashes/fuzz.txt
	@touch $@

# Bundles in other libraries, each in an environment of its own; writes the table of docs/ecosystem.md. Needs Node.js and Chromium.
test-ecosystem: $(INSTALLED)
	$(BIN)/python -m tests.ecosystem
	$(BIN)/python -m tests.ecosystem.cards
	$(BIN)/python -m tests.ecosystem.browser

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -q tests/test_layers.py
	$(BIN)/python -m ftool.cli.reference --check docs/cli.md

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The documentation site: site/site/index.html. It is built in an environment of its own.
SITE_VENV := .venv-site
docs: $(SITE_VENV)/.installed
	rm -rf site && $(SITE_VENV)/bin/python docs/site/build.py site
	cd site && PYTHONPATH=../toolchain:../export:../runtime ../$(SITE_VENV)/bin/zensical build --strict --config-file mkdocs.yml

$(SITE_VENV)/.installed: hashes/site.txt
	$(PYTHON) -m venv $(SITE_VENV)
	$(SITE_VENV)/bin/$(VERIFIED) --quiet --requirement hashes/site.txt
	@touch $@

# README's figures. `bench-all` measures those of docs/figures.md too, which takes hours.
bench: $(INSTALLED)
	$(BIN)/python -m benchmarks.banking77 --methods head
	$(BIN)/python -m benchmarks.lowest_rung --teacher models/banking77/head
	$(BIN)/python -m benchmarks.peers
	$(BIN)/python -m benchmarks.startup

bench-all: $(INSTALLED)
	$(BIN)/python -m benchmarks.banking77
	$(BIN)/python -m benchmarks.goemotions
	$(BIN)/python -m benchmarks.few_examples
	$(BIN)/python -m benchmarks.squad2
	$(BIN)/python -m benchmarks.wnut17
	$(BIN)/python -m benchmarks.afrisenti
	$(BIN)/python -m benchmarks.embeddings
	$(BIN)/python -m benchmarks.policyqa
	$(BIN)/python -m benchmarks.search_scale
	$(BIN)/python -m benchmarks.search_threads
	$(BIN)/python -m benchmarks.search_quality $(if $(NEWS),--news $(NEWS))
	$(BIN)/ftool demo
	$(BIN)/python -m benchmarks.startup

# What the environments hold, with the SHA-256 of every file that PyPI has of it: docs/supply-chain.md.
SUPPLY_VENV := .venv-supply
RUNTIME_EXTRAS := cpu,approximate,chat,sign
LOCK := UV_CUSTOM_COMPILE_COMMAND="make hashes" $(SUPPLY_VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-annotate --constraint constraints.txt --no-emit-package ftool --no-emit-package ftool-runtime
hashes: $(SUPPLY_VENV)/.installed
	printf 'hatchling\nsetuptools\n' | $(LOCK) --output-file hashes/build.txt -
	printf './runtime[cpu]\n.[dev]\n' | $(LOCK) --no-emit-package torch --output-file hashes/toolchain.txt -
	printf 'torch\n' | $(LOCK) --no-config --output-file hashes/torch.txt -
	printf './runtime[$(RUNTIME_EXTRAS)]\n' | $(LOCK) --output-file hashes/runtime.txt -
	printf '%s\n' $(RUNTIME_PACKAGES) | $(LOCK) --no-deps --output-file hashes/runtime-only.txt -
	printf '%s\n' $(RAY_PACKAGES) | $(LOCK) --no-deps --output-file hashes/ray.txt -
	printf 'hypothesis\npytest\npytest-timeout\npytest-xdist\n' | $(LOCK) --output-file hashes/runtime-tests.txt -
	$(LOCK) --output-file hashes/site.txt docs/site/requirements.txt
	$(LOCK) --no-deps --output-file hashes/fuzz.txt tests/fuzz/requirements.txt
	$(LOCK) --output-file hashes/supply.txt hashes/supply.in

$(SUPPLY_VENV)/.installed: hashes/supply.txt
	$(PYTHON) -m venv $(SUPPLY_VENV)
	$(SUPPLY_VENV)/bin/$(VERIFIED) --quiet --requirement hashes/supply.txt
	@touch $@

# What an app installs: the runtime's wheel with all extras but `gpu`, and nothing else, not even pip.
SHIPPED_VENV := .venv-shipped
SHIPPED_PIP := $(SUPPLY_VENV)/bin/pip --python $(SHIPPED_VENV)/bin/python
$(SHIPPED_VENV)/.installed: hashes/runtime.txt runtime/pyproject.toml $(SUPPLY_VENV)/.installed $(INSTALLED)
	rm -rf $(SHIPPED_VENV) && $(PYTHON) -m venv --without-pip $(SHIPPED_VENV)
	$(BIN)/python -m build --quiet --no-isolation --wheel --outdir $(SHIPPED_VENV)/wheel runtime
	$(SHIPPED_PIP) $(filter-out pip,$(VERIFIED)) --quiet --requirement hashes/runtime.txt
	$(SHIPPED_PIP) install --quiet --no-compile --no-deps $(SHIPPED_VENV)/wheel/*.whl
	@touch $@

# The licences of what the runtime depends on: the table in runtime/NOTICE.
notice: $(SHIPPED_VENV)/.installed
	mkdir -p build
	sed '/^|/,$$d' runtime/NOTICE > build/NOTICE
	$(SUPPLY_VENV)/bin/pip-licenses --python $(SHIPPED_VENV)/bin/python --ignore-packages ftool-runtime \
		--format markdown --with-urls >> build/NOTICE
	mv build/NOTICE runtime/NOTICE

# The runtime's bill of materials, CycloneDX 1.6, beside its wheel; cyclonedx-py checks it against the schema.
sbom: $(SHIPPED_VENV)/.installed
	mkdir -p dist
	$(SUPPLY_VENV)/bin/cyclonedx-py environment $(SHIPPED_VENV)/bin/python --pyproject runtime/pyproject.toml --mc-type library \
		--output-reproducible --validate --output-file dist/ftool-runtime.cdx.json

dist: $(INSTALLED)
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist .
	$(BIN)/python -m build --no-isolation --outdir dist runtime
	@$(MAKE) --no-print-directory sbom

clean:
	rm -rf $(VENV) $(RUNTIME_VENV) $(SITE_VENV) $(FUZZ_PACKAGES) $(DISTRIBUTED_PACKAGES) $(SUPPLY_VENV) $(SHIPPED_VENV) site dist .mypy_cache .ruff_cache .pytest_cache
