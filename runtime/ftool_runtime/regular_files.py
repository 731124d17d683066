"""Open regular files only: a named pipe or a device would make its reader wait, or read without an end."""

import errno
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_KINDS: Final = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}
# Opening a named pipe without a writer would wait for one. Windows has neither flag, but needs O_BINARY.
_FLAGS: Final = (
    os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
)


class NotRegularError(OSError):
    """Raised for a path that is not a regular file.

    Like the operating system's own errors, it has the path in `filename` and the reason in `strerror`, such as "it is a
    named pipe, not a regular file".

    Attributes:
        reason: the reason as the end of a sentence, such as "is a named pipe, not a regular file".
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(errno.EINVAL, f"it {reason}", str(path))
        self.reason = reason


@contextmanager
def open_regular(path: Path) -> Iterator[io.BufferedReader]:
    """Yield the regular file at `path`, opened for reading in binary.

    Raises NotRegularError if `path` is anything else, such as a named pipe, which is not opened, and OSError.
    """
    _check(path, path.stat())
    descriptor = os.open(path, _FLAGS)
    try:
        _check(path, os.fstat(descriptor))  # again: it may have been replaced
    except BaseException:
        os.close(descriptor)
        raise
    with os.fdopen(descriptor, "rb") as file:
        yield file


def not_regular(found: os.stat_result) -> str | None:
    """Return what a file is, as the end of a sentence ("is a named pipe"); None if it is a regular file."""
    if stat.S_ISREG(found.st_mode):
        return None
    return f"is {_KINDS.get(stat.S_IFMT(found.st_mode), 'something else')}, not a regular file"


def _check(path: Path, found: os.stat_result) -> None:
    if (reason := not_regular(found)) is not None:
        raise NotRegularError(path, reason)
