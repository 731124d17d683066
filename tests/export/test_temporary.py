"""Temporary folders are removed at the end of their block, and by the next one if the process was killed."""

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ftool_export.temporary import temporary_folder

KILLED = """
import os, signal
from ftool_export.temporary import temporary_folder
with temporary_folder() as folder:
    (folder / "model.onnx").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL on Windows")
def test_what_a_killed_process_left_is_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    (tmp_path / "ftool-app").mkdir()  # somebody else's
    killed = subprocess.run([sys.executable, "-c", KILLED], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2
    with temporary_folder() as running, temporary_folder() as other:
        assert running != other
        assert running.is_dir()
        assert len(list(tmp_path.iterdir())) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["ftool-app"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other folders")
def test_no_file_is_written_to_find_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`tempfile` tries a folder out with a file, which a kill at that moment would leave."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "chosen"))
    (tmp_path / "chosen").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_get_default_tempdir", None)  # a call would fail
    with temporary_folder() as folder:
        assert folder.is_relative_to(tmp_path / "chosen")
