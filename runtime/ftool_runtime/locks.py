"""Locks that the system releases when their holder ends, even by a kill, and one writer at a time for each path.

Who writes is told by a lock, not by the number of a process: in a container every process may have the same number,
and after a crash a number may belong to another program.
"""

import errno
import glob
import json
import logging
import os
import re
import secrets
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from ftool_runtime.errors import BusyError, InputError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

logger = logging.getLogger(__name__)

_HELD_ELSEWHERE: Final = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
_WITHOUT_LOCKS: Final = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)  # some network file systems
_FAR: Final = 2**30  # on Windows a locked byte can't be read, so one behind the holder's name is locked
_POLL_S: Final = 0.1
_held: set[tuple[int, int, Path]] = set()  # process, thread and lock file of the locks of this process


def try_lock(descriptor: int) -> bool:
    """Lock an open file without waiting; return False if it is locked through another descriptor.

    The lock ends with `unlock`, when the file is closed, or with the process. Raises OSError if the file system has no
    locks.
    """
    try:
        if sys.platform == "win32":
            os.lseek(descriptor, _FAR, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _HELD_ELSEWHERE:
            raise
        return False
    return True


def unlock(descriptor: int) -> None:
    """End the lock of `try_lock`, even if a forked process has inherited the descriptor."""
    if sys.platform == "win32":
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def check_name(path: Path) -> None:
    """Raise InputError if no file can have this name, because of a NUL byte or half of a surrogate pair in it."""
    try:
        possible = b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        possible = False
    if not possible:
        raise InputError(f"{path!r} can't be the name of a file: it holds a NUL byte or a lone surrogate")


def new_partial(path: Path) -> Path:
    """Return a name next to `path`, which nobody has, for the unfinished content of `path`."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")


def partials(path: Path) -> list[Path]:
    """Return the unfinished files and folders next to `path`, of running processes and of killed ones."""
    ours = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f-]+(\.old)?\.partial")
    found = path.parent.glob(f".{glob.escape(path.name)}.*.partial")
    return sorted(one for one in found if ours.fullmatch(one.name))


@contextmanager
def writing(path: Path, command: str, *, wait: bool = False) -> Iterator[None]:
    """Be the only one who writes to the file or folder at `path`, for the duration of the block.

    The lock is a file next to `path`, which is removed at the end. Unfinished folders that a killed process left next
    to `path` are removed first. Blocks can be nested within a thread.

    Args:
        path: the file or folder, which need not exist; its parent folder is made.
        command: who writes, such as "ftool train", for the message to others.
        wait: whether to wait for another writer to finish, rather than to raise an error.

    Raises:
        BusyError: another process or thread writes to `path`; the message names its command.
        InputError: no file can have the name `path`.
        OSError: the lock can't be made, for example because the folder is read-only.
    """
    check_name(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.absolute().parent.resolve() / f".{path.absolute().name}.lock"
    key = (os.getpid(), threading.get_ident(), file)
    if key in _held:
        yield
        return
    descriptor = _acquire(path, file, wait=wait)
    if descriptor is None:
        logger.warning("%s: this file system has no locks; make sure that nothing else writes there", path)
        yield
        return
    _held.add(key)
    try:
        _sign(descriptor, command)
        _clear(path.absolute())
        yield
    finally:
        _held.discard(key)
        _release(descriptor, file)


def _acquire(path: Path, file: Path, *, wait: bool) -> int | None:
    """Return the descriptor of the locked file; None if the file system has no locks."""
    said = False
    while True:
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error
        try:
            if try_lock(descriptor):
                if _is_at(descriptor, file):
                    return descriptor
                os.close(descriptor)  # the former holder has removed the file meanwhile
                continue
        except OSError as error:
            os.close(descriptor)
            if error.errno in _WITHOUT_LOCKS:
                return None
            raise
        except BaseException:
            os.close(descriptor)
            raise
        holder = _holder(descriptor)
        os.close(descriptor)
        if not wait:
            raise BusyError(f"{path}: {holder} is writing there; wait until it ends, or write elsewhere")
        if not said:
            logger.info("%s: waiting for %s, which is writing there", path, holder)
        said = True
        time.sleep(_POLL_S)


def _release(descriptor: int, file: Path) -> None:
    with suppress(OSError):  # Windows can't delete an open file
        file.unlink()
    try:
        unlock(descriptor)
    finally:
        os.close(descriptor)
    if sys.platform == "win32":
        with suppress(OSError):  # it fails if another process has opened the file meanwhile
            file.unlink()


def _is_at(descriptor: int, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:
        return False


def _sign(descriptor: int, command: str) -> None:
    """Write into a lock file who holds it; a full disk only costs others the name."""
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, json.dumps({"command": command, "process": os.getpid()}).encode())


def _holder(descriptor: int) -> str:
    with suppress(OSError, ValueError, KeyError, TypeError):
        os.lseek(descriptor, 0, os.SEEK_SET)
        signed: Any = json.loads(os.read(descriptor, 1000))
        return f"{signed['command']} (process {signed['process']})"
    return "another command"


def _clear(path: Path) -> None:
    """Remove the unfinished folders next to `path`, whose lock this process holds.

    If a killed process had moved the former folder aside, but not yet put the new one in its place, the former folder
    is put back.
    """
    for partial in partials(path):
        if not partial.is_dir():
            continue
        if partial.name.endswith(".old.partial") and not path.exists():
            partial.rename(path)
        else:
            shutil.rmtree(partial, ignore_errors=True)
