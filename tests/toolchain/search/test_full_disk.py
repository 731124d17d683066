"""On a disk with no space for SQLite's log, indexing says so, and the knowledge base stays readable."""

import subprocess
import sys
from pathlib import Path

import pytest

from ftool.search.build import IndexSettings, build_index
from ftool_runtime.knowledge import KnowledgeBase

# The index of the log takes 32 KiB at once. A limit on the size of files refuses that, as a full disk does.
INDEX = """
import resource
from pathlib import Path
from ftool.search.build import IndexSettings, build_index
from ftool_runtime.knowledge import KnowledgeBaseError
resource.setrlimit(resource.RLIMIT_FSIZE, (16384, 16384))
try:
    build_index(Path("kb.db"), [Path("docs")], IndexSettings(embedder="none"))
except KnowledgeBaseError as error:
    print(error)
"""

limited = pytest.mark.skipif(sys.platform == "win32", reason="no limits of processes on Windows")


def index_on_a_full_disk(folder: Path) -> str:
    command = [sys.executable, "-c", INDEX]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text("Rain in the morning.")
    return tmp_path


@limited
def test_an_old_knowledge_base_can_still_be_read(folder: Path) -> None:
    build_index(folder / "kb.db", [folder / "docs"], IndexSettings(embedder="none"))
    (folder / "docs" / "a.txt").write_text("Sun in the evening.")
    assert index_on_a_full_disk(folder).startswith("kb.db: the disk is full")
    assert (folder / "kb.db").read_bytes()[18] == 1  # not in WAL mode: https://sqlite.org/fileformat.html
    assert sorted(one.name for one in folder.iterdir() if not one.name.endswith(".lock")) == ["docs", "kb.db"]
    with KnowledgeBase.open(folder / "kb.db", embedder=None) as base:
        assert [base.text(name) for name in base.documents()] == ["Rain in the morning."]


@limited
def test_no_file_is_left_of_a_new_one(folder: Path) -> None:
    assert index_on_a_full_disk(folder).startswith("kb.db: the disk is full")
    assert [one.name for one in folder.iterdir() if not one.name.endswith(".lock")] == ["docs"]
