"""Fixtures: a virtual display, the modules of examples/desktop, and tiny bundles for its three views."""

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.helpers.finding_reader import FindingReader
from tests.helpers.onnx_writer import ONNX_WRITER
from tests.helpers.paths import REPOSITORY
from tests.helpers.teachable import write_teachable
from tests.helpers.tiny_bundles import tiny_graph, tiny_tokenizer
from tests.helpers.tiny_generators import write_generator

from ftool.search.build import IndexSettings, build_index

EXAMPLE = REPOSITORY / "examples" / "desktop"
MODULES = tuple(path.stem for path in EXAMPLE.glob("*.py"))
TEMPLATE = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{{ eos_token }}{% endfor %}<|assistant|>"


@pytest.fixture(scope="session")
def example() -> Iterator[SimpleNamespace]:
    """The example's modules that need no toolkit, and `load`, which imports another one."""
    sys.path.insert(0, str(EXAMPLE))
    yield SimpleNamespace(
        worker=importlib.import_module("worker"),
        jobs=importlib.import_module("jobs"),
        load=importlib.import_module,
    )
    sys.path.remove(str(EXAMPLE))
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture(scope="session")
def display() -> Iterator[str]:
    """A virtual X display; Xvfb picks a free number itself."""
    for program in ("Xvfb", "xdotool"):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1000x800x24", "-nolisten", "tcp"],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    with os.fdopen(read) as pipe:
        name = f":{pipe.readline().strip()}"
    yield name
    server.terminate()
    server.wait()


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the app ships it: classify, ask/kb.db and write, a model that chats."""
    folder = tmp_path_factory.mktemp("shipped") / "bundles"
    (folder / "classify" / "onnx").mkdir(parents=True)
    (folder / "classify" / "onnx" / "model.onnx").write_bytes(tiny_graph(features=True))
    tiny_tokenizer().save(str(folder / "classify" / "tokenizer.json"))
    write_teachable(folder / "classify")
    write_generator(
        folder / "write",
        ONNX_WRITER,
        source=False,
        caches="in_place",
        files={"chat_template.jinja": TEMPLATE},
    )
    docs = tmp_path_factory.mktemp("documents")
    (docs / "keeping.md").write_text("# Privacy\n\n## Keeping\n\nMessages are kept for thirty days.\n")
    (docs / "paying.md").write_text("# Paying\n\nCards and transfers are fine.\n")
    (folder / "ask").mkdir()
    build_index(folder / "ask" / "kb.db", [docs], IndexSettings(embedder="none"))
    return folder


@pytest.fixture
def finding_reader() -> type[FindingReader]:
    return FindingReader
