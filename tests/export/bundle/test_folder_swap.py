"""A folder is replaced as a whole or not at all, whatever fails meanwhile; a full disk raises its own error class."""

import errno
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from tests.helpers.locks import held

from ftool_export.checkpoints.classifier import load_classifier
from ftool_runtime import folder_swap
from ftool_runtime.errors import BusyError
from ftool_runtime.folder_swap import disk_errors, replacing_folder

LIMIT = 2_000  # bytes a file may have


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with an old file."""
    place = tmp_path / "bundle"
    place.mkdir()
    (place / "old").write_text("old")
    return place


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def replace(place: Path) -> None:
    with replacing_folder(place, "test") as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "new").write_text("new")


def test_the_new_folder_takes_the_place_of_the_old(place: Path) -> None:
    replace(place)
    assert names(place) == ["sub"]
    assert names(place.parent) == ["bundle"]


def test_a_place_that_is_empty_or_missing_is_filled(tmp_path: Path) -> None:
    replace(tmp_path / "deep" / "bundle")
    assert names(tmp_path / "deep") == ["bundle"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), OSError(errno.ENOSPC, "no space left")])
def test_what_stops_on_the_way_leaves_the_old_and_no_rest(place: Path, stop: BaseException) -> None:
    def write_half() -> None:
        with replacing_folder(place, "test") as folder:
            (folder / "half").write_text("half")
            raise stop

    with pytest.raises(type(stop)):
        write_half()
    assert names(place) == ["old"]
    assert names(place.parent) == ["bundle"]


def test_without_an_exchange_in_the_system_two_renames_do(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_swap, "_exchange", lambda _left, _right: False)
    replace(place)
    assert names(place) == ["sub"]
    assert names(place.parent) == ["bundle"]


def test_a_failing_rename_puts_the_old_back(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_swap, "_exchange", lambda _left, _right: False)
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.name.endswith(".partial") and not self.name.endswith(".old.partial"):
            raise PermissionError(errno.EACCES, "in use")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(PermissionError):
        replace(place)
    assert names(place) == ["old"]


KILLED = """
import os, signal, sys
from pathlib import Path
from ftool_runtime.folder_swap import replacing_folder
with replacing_folder(Path(sys.argv[1]), "test") as folder:
    (folder / "half").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL on Windows")
def test_a_kill_leaves_the_old_and_the_next_run_clears_up(place: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(place)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert names(place) == ["old"]
    assert len(names(place.parent)) == 3  # what the killed process left, and its lock
    replace(place)
    assert names(place) == ["sub"]
    assert names(place.parent) == ["bundle"]


def test_a_second_writer_is_refused_by_the_name_of_the_first(place: Path) -> None:
    with held(place, "ftool export"):
        (running := place.with_name(".bundle.0123abcd.partial")).mkdir()
        with pytest.raises(BusyError, match=r"bundle: ftool export \(process \d+\) is writing there"):
            replace(place)
        assert running.is_dir()
    assert names(place) == ["old"]
    replace(place)
    assert names(place.parent) == ["bundle"]


def test_a_kill_between_two_renames_is_mended_by_the_next_writer(place: Path) -> None:
    place.rename(place.with_name(".bundle.0123abcd.old.partial"))
    with pytest.raises(KeyboardInterrupt), replacing_folder(place, "test"):
        raise KeyboardInterrupt
    assert names(place) == ["old"]
    assert names(place.parent) == ["bundle"]


def test_what_a_process_of_the_same_number_left_is_cleared_up(place: Path) -> None:
    for left in (f".bundle.{os.getpid()}.partial", ".bundle.1.old.partial", ".bundle.0123abcd.partial"):
        place.with_name(left).mkdir()
    place.with_name(".bundle.v2.1.partial").mkdir()  # of another folder, called "bundle.v2"
    replace(place)
    assert names(place.parent) == [".bundle.v2.1.partial", "bundle"]


# --- errors of libraries


@contextmanager
def small_files() -> Iterator[None]:
    """Writing past the limit fails with EFBIG, as past the end of a disk it does with ENOSPC."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_a_checkpoint_that_does_not_fit_is_an_os_error_that_names_the_folder(
    bert: Path, tmp_path: Path
) -> None:
    loaded = load_classifier(bert)
    with pytest.raises(OSError, match="File too large") as caught, small_files(), disk_errors(tmp_path):
        loaded.save(tmp_path)
    assert caught.value.errno == errno.EFBIG


def test_a_tokenizer_that_does_not_fit_is_one_too(bert: Path, tmp_path: Path) -> None:
    backend = load_classifier(bert).tokenizer.backend_tokenizer
    backend.add_tokens([f"word{number}" for number in range(500)])
    with pytest.raises(OSError, match="File too large"), small_files(), disk_errors(tmp_path):
        backend.save(str(tmp_path / "tokenizer.json"))


def test_a_trainers_state_that_does_not_fit_is_one_too(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=str(tmp_path)), small_files(), disk_errors(tmp_path):
        torch.save(torch.zeros(10_000), tmp_path / "optimizer.pt")


def test_other_errors_pass_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="something else"), disk_errors(tmp_path):
        raise ValueError("something else")


def test_a_librarys_error_about_the_new_folder_names_the_folder_and_keeps_the_old_one(place: Path) -> None:
    with pytest.raises(OSError, match="bundle"), replacing_folder(place, "test"):
        raise RuntimeError("iostream error")
    assert names(place) == ["old"]
