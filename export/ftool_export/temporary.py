"""Temporary folders that do not outlive a killed process for long: the next one removes them."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from ftool_runtime.locks import try_lock

_PREFIX: Final = "ftool-"
_OURS: Final = re.compile(rf"{_PREFIX}[a-z0-9_]{{8}}")
_LOCK: Final = ".lock"


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a new empty folder, which is removed when the block ends.

    Folders of this user that killed processes have left are removed first: nobody holds the lock inside them. Raises
    OSError if no folder can be made.
    """
    _settle_root()
    _remove_abandoned(Path(tempfile.gettempdir()))
    folder, descriptor = _locked_folder()
    try:
        (files := folder / "files").mkdir()
        yield files
    finally:
        os.close(descriptor)
        shutil.rmtree(folder, ignore_errors=True)  # Windows can't delete a file that a session has mapped


def _settle_root() -> None:
    """Let `tempfile` take the folder that the environment names, or /tmp, as it would, but without trying it out.

    It would write a file with a random name there, which a kill at that moment would leave for good.
    """
    named = [os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP")]
    for folder in (*filter(None, named), *(("/tmp",) if os.name == "posix" else ())):
        if tempfile.tempdir is None and Path(folder).is_dir() and os.access(folder, os.W_OK | os.X_OK):
            tempfile.tempdir = str(Path(folder).absolute())


def _locked_folder() -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        descriptor = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            locked = try_lock(descriptor)
        except OSError:
            locked = True  # nobody can lock files here, so nobody removes a folder
        if locked and (folder / _LOCK).exists():
            return folder, descriptor
        os.close(descriptor)  # in the moment before the lock, another process took it for an abandoned one


def _remove_abandoned(root: Path) -> None:
    for folder in root.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # of another user, or removed meanwhile
            lock = folder / _LOCK
            if not _OURS.fullmatch(folder.name) or folder.is_symlink() or not lock.is_file():
                continue
            if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
                continue
            descriptor = os.open(lock, os.O_RDWR)
            abandoned = False
            try:
                if abandoned := try_lock(descriptor):
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)
            if abandoned:
                shutil.rmtree(folder, ignore_errors=True)  # on Windows the lock file can only go now
