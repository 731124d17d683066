"""Hold the lock of a file or folder in another thread, which stands for another process."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from ftool_runtime.locks import writing


@contextmanager
def held(path: Path, command: str) -> Iterator[None]:
    """Let another thread be the writer of `path`, as `command`, for the duration of the block."""
    locked, done = Event(), Event()

    def hold() -> None:
        with writing(path, command):
            locked.set()
            done.wait()

    thread = Thread(target=hold)
    thread.start()
    assert locked.wait(timeout=10)
    try:
        yield
    finally:
        done.set()
        thread.join()
