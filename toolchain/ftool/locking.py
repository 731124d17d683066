"""Keep two processes from working in one folder at the same time."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ftool_runtime.errors import FtoolError


@contextmanager
def exclusive(file: Path, busy: FtoolError) -> Iterator[None]:
    """Hold the lock `file` for the duration of the block; raise `busy` if another process holds it.

    The system releases the lock if this process is killed.
    """
    lock = FileLock(file, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise busy from None
    try:
        yield
    finally:
        with suppress(OSError):  # Windows can't delete an open file
            Path(lock.lock_file).unlink()
        lock.release()
