"""Replace a whole folder, so that a killed process or a full disk leaves either the old folder or the new one."""

import ctypes
import errno
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ftool_runtime.locks import new_partial, writing

_AT_FDCWD: Final = -100  # on Linux: paths are relative to the working directory
_EXCHANGE: Final = 2  # RENAME_EXCHANGE on Linux and RENAME_SWAP on macOS have the same value
_RUST = re.compile(r"\(os error (\d+)\)")  # in errors of safetensors and tokenizers
_TORCH = re.compile("failed writing file|iostream error|inline_container")  # torch.save gives no reason


@contextmanager
def replacing_folder(path: Path, command: str) -> Iterator[Path]:
    """Yield an empty folder next to `path` that replaces `path` when the block ends without an exception.

    After an error, a full disk or Ctrl-C the new folder is removed and `path` is unchanged. Folders that a killed
    process left next to `path` are also removed. `command` names the writer: see `ftool_runtime.locks.writing`.

    Raises:
        BusyError: another process writes to `path`.
        OSError: a folder can't be created, written or renamed, even if a library raised another type of error for this.
    """
    given, path = path, path.absolute()
    with writing(given, command):
        partial = new_partial(path)
        try:
            with disk_errors(given):
                partial.mkdir()
                yield partial
                _flush(partial)
            _put(partial, path)
        except OSError as error:
            if not str(error.filename).startswith(str(partial)):
                raise
            raise OSError(error.errno, error.strerror, str(given)) from error
        finally:
            # after an exchange this holds the old folder
            shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn any error that reports a failed write to `folder` into an OSError; other errors pass unchanged."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        number = _errno(str(error))
        if number is None:
            raise
        raise OSError(number, os.strerror(number), str(folder)) from error


def _put(new: Path, path: Path) -> None:
    if not path.exists():
        new.rename(path)
    elif not _exchange(new, path):
        # This system can't exchange folders: between the two renames the old folder has another name.
        aside = new.with_suffix(".old.partial")
        path.rename(aside)
        try:
            new.rename(path)
        except OSError:
            aside.rename(path)
            raise
        shutil.rmtree(aside, ignore_errors=True)
    _flush_entry(path.parent)


def _exchange(left: Path, right: Path) -> bool:
    """Swap two folders in one system call. Returns False if the system or the file system does not support this."""
    if sys.platform == "win32":
        return False
    library = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(left), os.fsencode(right)
    try:
        if sys.platform == "darwin":
            return bool(library.renamex_np(*names, ctypes.c_uint(_EXCHANGE)) == 0)
        places = _AT_FDCWD, names[0], _AT_FDCWD, names[1]
        return bool(library.renameat2(*places, ctypes.c_uint(_EXCHANGE)) == 0)
    except AttributeError:  # an older C library
        return False


def _flush(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
    for path in [*folder.rglob("*"), folder]:
        if path.is_dir():
            _flush_entry(path)


def _flush_entry(folder: Path) -> None:
    """Flush a folder's list of file names to the disk; does nothing on Windows."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _errno(message: str) -> int | None:
    found = _RUST.search(message)
    if found:
        return int(found[1])
    return errno.EIO if _TORCH.search(message) else None
