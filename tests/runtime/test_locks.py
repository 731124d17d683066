"""One writer at a time for each path, and files that are written whole or not at all, whatever is killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.helpers.locks import held

from ftool_runtime import atomic
from ftool_runtime.atomic import replacing, replacing_path
from ftool_runtime.errors import BusyError, InputError
from ftool_runtime.locks import writing

kills = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL on Windows")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def killed(code: str, *arguments: object) -> None:
    """Run Python code that kills its own process with `die()`."""
    prelude = "import os, signal, sys\nfrom pathlib import Path\ndie = lambda: os.kill(os.getpid(), signal.SIGKILL)\n"
    command = [sys.executable, "-c", prelude + code, *map(str, arguments)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL


def test_a_second_writer_is_told_who_the_first_is(tmp_path: Path) -> None:
    with (
        held(tmp_path / "run", "ftool train"),
        pytest.raises(BusyError, match=rf"run: ftool train \(process {os.getpid()}\) is writing there; wait"),
        writing(tmp_path / "run", "ftool adapt"),
    ):
        pass
    with writing(tmp_path / "run", "ftool adapt"):
        pass
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b"])
def test_a_name_that_no_file_can_have_is_refused(name: str, tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="can't be the name of a file"),
        writing(tmp_path / name, "ftool train"),
    ):
        pass
    assert names(tmp_path) == []


def test_blocks_of_one_thread_can_be_nested(tmp_path: Path) -> None:
    with writing(tmp_path / "run", "outer"):
        with writing(tmp_path / "run", "inner"):
            pass
        assert names(tmp_path) == [".run.lock"]


WAITING = """
import sys
from pathlib import Path
from ftool_runtime.locks import writing
with writing(Path(sys.argv[1]), "second", wait=True):
    print("got it")
"""


def test_who_waits_gets_the_lock_when_the_first_ends(tmp_path: Path) -> None:
    with held(tmp_path / "run", "first"):
        command = [sys.executable, "-c", WAITING, str(tmp_path / "run")]
        waiting = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(timeout=1)
    assert waiting.communicate(timeout=30)[0] == "got it\n"


@kills
def test_a_killed_writer_holds_no_lock(tmp_path: Path) -> None:
    code = "from ftool_runtime.locks import writing\nwith writing(Path(sys.argv[1]), 'first'): die()"
    killed(code, tmp_path / "run")
    assert names(tmp_path) == [".run.lock"]
    with writing(tmp_path / "run", "second"):
        pass
    assert names(tmp_path) == []


def test_a_folder_that_can_not_be_written_is_named_as_it_was_given(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=f"{tmp_path}/file") as caught, writing(tmp_path / "file" / "run", "x"):
        pass
    assert ".lock" not in str(caught.value)


def nothing(_: object) -> None:
    """Stands for a system without files that have no names."""


@kills
@pytest.mark.parametrize("nameless", [True, False], ids=["nameless", "named"])
def test_a_kill_while_a_file_is_written_leaves_the_old_one(tmp_path: Path, nameless: bool) -> None:
    file = tmp_path / "answers"
    file.write_text("old")
    without = "" if nameless else "atomic._nameless = lambda _: None\n"
    code = "from ftool_runtime import atomic\nwith atomic.replacing(Path(sys.argv[1])) as file: file.write('n'); die()"
    killed(code.replace("\n", f"\n{without}", 1), file)
    assert file.read_text() == "old"
    assert len(names(tmp_path)) == (1 if nameless and sys.platform == "linux" else 2)
    with replacing(file) as opened:
        opened.write("new")
    assert file.read_text() == "new"
    assert names(tmp_path) == ["answers"]


@pytest.mark.parametrize("nameless", [True, False], ids=["nameless", "named"])
def test_what_another_process_is_writing_stays(
    tmp_path: Path, nameless: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not nameless:
        monkeypatch.setattr(atomic, "_nameless", nothing)
    file = tmp_path / "answers"
    with replacing(file) as first, replacing_path(file) as second:
        first.write("first")
        second.write_text("second")
        with replacing(file) as third:
            third.write("third")
        assert file.read_text() == "third"
        assert second.exists()
    assert file.read_text() == "first"
    assert names(tmp_path) == ["answers"]


def test_what_an_old_version_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".answers.1234-140012.partial").touch()
    (tmp_path / ".answers.more.1234.partial").touch()  # of another file, called "answers.more"
    with replacing(tmp_path / "answers"):
        pass
    assert names(tmp_path) == [".answers.more.1234.partial", "answers"]


@pytest.mark.parametrize("nameless", [True, False], ids=["nameless", "named"])
def test_errors_name_the_users_path(tmp_path: Path, nameless: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not nameless:
        monkeypatch.setattr(atomic, "_nameless", nothing)
    for path in (tmp_path / "missing" / "answers", tmp_path / ("long" * 100)):
        with pytest.raises(OSError) as caught, replacing(path):  # noqa: PT011  the file's name is checked
            pass
        assert caught.value.filename == str(path)
    assert names(tmp_path) == []
