"""`import ftool_runtime`: which names it has, which modules it loads, and how long it takes."""

import ast
import importlib
import importlib.util
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import ftool_runtime as ft
from ftool_runtime.freezing.pyinstaller import hook_dirs
from ftool_runtime.loading import MODELS

HEAVY = (
    "torch",
    "transformers",
    "huggingface_hub",
    "ftool",
    "ftool_export",
    "onnx",
    "sklearn",
    "scipy",
    "pandas",
)
PACKAGE = Path(str(ft.__file__)).parent
IMPORT_BUDGET_MS = 40  # beyond numpy and onnxruntime

runtime_only = pytest.mark.skipif(
    os.environ.get("FTOOL_RUNTIME_ONLY") != "1", reason="for the environment that `make test-runtime` builds"
)


def python(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_public_names_are_these() -> None:
    assert set(ft.__all__) == {
        "Answer",
        "BenchReport",
        "BundleError",
        "Candidate",
        "ChatSession",
        "Classification",
        "ClosedError",
        "DeviceError",
        "Embedder",
        "Embedding",
        "Entities",
        "Entity",
        "FtoolError",
        "GeneratedRow",
        "Generation",
        "GenerationBenchReport",
        "GenerationConfig",
        "MultiRegressor",
        "Scores",
        "GenerationGolden",
        "Golden",
        "InputError",
        "LabelScore",
        "Lesson",
        "LessonError",
        "Limits",
        "LongGeneration",
        "Manifest",
        "Model",
        "OtherProcessError",
        "Reader",
        "RuntimeMissingError",
        "SignatureError",
        "Score",
        "Seq2SeqGenerator",
        "TextClassifier",
        "TextGenerator",
        "TextRegressor",
        "TextStream",
        "TimeLimitError",
        "TokenTagger",
        "VerifyReport",
        "__version__",
        "bench",
        "load",
        "verify",
    }
    assert all(getattr(ft, name) is not None for name in ft.__all__)
    absent = "lod"
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        getattr(ft, absent)


def test_every_error_of_ours_has_one_root() -> None:
    errors = [getattr(ft, name) for name in ft.__all__ if name.endswith("Error")]
    assert all(issubclass(error, ft.FtoolError) for error in errors)


def test_importing_loads_neither_torch_nor_what_a_model_needs_later() -> None:
    loaded = python("import ftool_runtime, sys; print(*sys.modules)").split()
    assert not {*HEAVY, "numpy", "onnxruntime", "tokenizers"} & set(loaded)


def test_answering_loads_nothing_of_the_toolchain(shared_bundle: Path) -> None:
    code = (
        "import ftool_runtime as ft, sys; ft.load(sys.argv[1])(['play', 'music']); "
        "ft.verify(sys.argv[1]); print(*sys.modules)"
    )
    assert not set(HEAVY) & set(python(code, str(shared_bundle)).split())


def test_a_classifier_answers_without_the_classes_of_generators(shared_bundle: Path) -> None:
    code = "import ftool_runtime as ft, sys; ft.load(sys.argv[1])('play'); print(*sys.modules)"
    loaded = python(code, str(shared_bundle)).split()
    assert "ftool_runtime.models.classifier" in loaded
    assert not [name for name in loaded if name.startswith(("ftool_runtime.decoding", "ftool_runtime.chat"))]


def test_importing_is_cheap() -> None:
    code = (
        "import time, numpy, onnxruntime; start = time.process_time(); import ftool_runtime; "
        "print((time.process_time() - start) * 1e3)"
    )
    # CPU time, and one of several tries suffices, as other processes may be at work
    assert any(float(python(code)) <= IMPORT_BUDGET_MS for _ in range(10))


@runtime_only
def test_torch_is_not_installed() -> None:
    assert "site-packages" in str(ft.__file__)
    found = [name for name in HEAVY if importlib.util.find_spec(name) is not None]
    assert found == []
    with pytest.raises(ModuleNotFoundError):
        __import__("torch")


def test_every_public_name_is_there() -> None:
    assert all(getattr(ft, name) is not None for name in ft.__all__)


def test_public_names_are_listed_for_completion() -> None:
    assert set(ft.__all__) <= set(dir(ft))


def test_type_checkers_see_the_names_that_are_there() -> None:
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text(encoding="utf-8"))
    told = {
        (node.module, alias.asname)
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name == alias.asname
    }
    constants = {"__version__", "__all__"}
    assert {name for _, name in told} | constants == {*ft.__all__, "__all__"}
    assert all(
        getattr(importlib.import_module(str(module)), str(name)) is getattr(ft, str(name))
        for module, name in told
    )


def test_a_wrong_input_is_a_value_error_too() -> None:
    with pytest.raises(ValueError, match="threads"):
        ft.load("nowhere", threads=0)


def test_frozen_apps_get_the_modules_that_are_imported_by_name() -> None:
    hook = Path(*hook_dirs()) / "hook-ftool_runtime.py"
    told = runpy.run_path(str(hook))["hiddenimports"]
    assert {f"ftool_runtime.models.{module}" for module, _ in MODELS} <= set(told)
    assert {getattr(ft, name).__module__ for name in ft.__all__ if name != "__version__"} <= {
        *told,
        "ftool_runtime.errors",
    }
