"""Write a file atomically: even after a crash, the file has either the old content or the new."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO, Final, TextIO, cast

from ftool_runtime.locks import new_partial, partials, try_lock

_WITHOUT_NAMELESS: Final = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL)
_DESCRIPTORS: Final = "/proc/self/fd"


@contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    """Yield a UTF-8 text file that replaces `path` if the block ends without an exception.

    After an exception, `path` is unchanged. If `path` is a symbolic link, the link's target is replaced. Anything that
    is not a regular file, such as `/dev/null` or a named pipe, is written to directly.

    On Linux the new file has no name until it is complete, so that a killed process leaves nothing. Elsewhere the file
    that it leaves is removed by the next call for `path`.

    Raises OSError, which names `path`, if opening, writing or renaming fails.
    """
    with _replacing(path, "w", encoding="utf-8", newline="\n") as file:
        yield cast(TextIO, file)


@contextmanager
def replacing_binary(path: Path) -> Iterator[BinaryIO]:
    """Yield a binary file that replaces `path` if the block ends without an exception; see `replacing`."""
    with _replacing(path, "wb") as file:
        yield cast(BinaryIO, file)


@contextmanager
def replacing_path(path: Path) -> Iterator[Path]:
    """Yield the path of an empty file that replaces `path` if the block ends without an exception; see `replacing`.

    For code that needs a path. A killed process leaves the file, which the next call for `path` removes.
    """
    target = Path(os.path.realpath(path))
    with _errors_of(path) as ours:
        _remove_abandoned(target)
        descriptor, partial = _named(target)
        ours.append(str(partial))
        try:
            yield partial
            os.fsync(descriptor)
            if sys.platform == "win32":
                os.close(descriptor)
            partial.replace(target)
        finally:
            with suppress(OSError):
                os.close(descriptor)
            partial.unlink(missing_ok=True)


@contextmanager
def _replacing(path: Path, mode: str, **opening: Any) -> Iterator[IO[str] | IO[bytes]]:
    target = Path(os.path.realpath(path))
    with _errors_of(path) as ours:
        if path.exists() and not target.is_file():
            with path.open(mode, **opening) as file:
                yield file
            return
        _remove_abandoned(target)
        descriptor, partial = _nameless(target) or _named(target)
        try:
            with open(descriptor, mode, **opening) as file:  # noqa: PTH123  a descriptor, not a path
                yield file
                file.flush()
                os.fsync(descriptor)
                if partial is None:
                    partial = _link(descriptor, target)
                ours.append(str(partial))
                if sys.platform != "win32":
                    partial.replace(target)  # before closing, which ends the lock
            if sys.platform == "win32":
                partial.replace(target)
        finally:
            if partial is not None:
                partial.unlink(missing_ok=True)


@contextmanager
def _errors_of(path: Path) -> Iterator[list[str]]:
    """Let errors about unfinished files, whose names are appended to the list, name `path`."""
    ours: list[str] = []
    try:
        yield ours
    except OSError as error:
        if error.errno is None or error.filename not in (None, *ours):
            raise  # the block raised this error, about another file
        raise OSError(error.errno, error.strerror, str(path)) from error


def _nameless(target: Path) -> tuple[int, None] | None:
    """Return the descriptor of a new file without a name on the disk of `target`; None if this is not supported."""
    if not hasattr(os, "O_TMPFILE") or not Path(_DESCRIPTORS).is_dir():
        return None
    try:
        descriptor = os.open(target.parent, os.O_TMPFILE | os.O_RDWR, 0o666)
    except OSError as error:
        if error.errno in _WITHOUT_NAMELESS:
            return None
        raise OSError(error.errno, error.strerror) from error
    _lock(descriptor)
    return descriptor, None


def _named(target: Path) -> tuple[int, Path]:
    """Return the descriptor, locked, and the name of a new file next to `target`."""
    while True:
        partial = new_partial(target)
        try:
            descriptor = os.open(
                partial, os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_BINARY", 0), 0o666
            )
        except OSError as error:
            raise OSError(error.errno, error.strerror) from error
        if _lock(descriptor) and partial.exists():
            return descriptor, partial
        os.close(descriptor)  # in the moment before the lock, another process took it for an abandoned file


def _link(descriptor: int, target: Path) -> Path:
    """Give a file without a name a name next to `target`, and return it."""
    partial = new_partial(target)
    source = f"{_DESCRIPTORS}/{descriptor}"
    try:
        os.link(source, partial, src_dir_fd=descriptor, follow_symlinks=True)
    except OSError as error:
        raise OSError(error.errno, error.strerror) from error
    return partial


def _lock(descriptor: int) -> bool:
    """Lock a new file, so that other processes don't take it for an abandoned one; True without locks, too."""
    if sys.platform == "win32":
        return True  # an open file can't be deleted
    try:
        return try_lock(descriptor)
    except OSError:
        return True  # nobody can lock files here, so nobody removes one


def _remove_abandoned(target: Path) -> None:
    """Remove the unfinished files next to `target` that no running process has locked."""
    for partial in partials(target):
        with suppress(OSError):  # for example in a read-only folder
            if partial.is_symlink() or not partial.is_file():
                continue
            if sys.platform == "win32":
                partial.unlink()  # fails for an open file
                continue
            descriptor = os.open(partial, os.O_RDWR)
            try:
                if try_lock(descriptor):
                    partial.unlink(missing_ok=True)
            finally:
                os.close(descriptor)
