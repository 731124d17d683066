"""Write a file atomically: even after a crash, the file has either the old content or the new."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, TextIO, cast


@contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    """Yield a UTF-8 text file that replaces `path` if the block ends without an exception.

    After an exception, `path` is unchanged. If `path` is a symbolic link, the link's target is replaced. Anything that
    is not a regular file, such as `/dev/null` or a named pipe, is written to directly.

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
def _replacing(path: Path, mode: str, **opening: Any) -> Iterator[IO[str] | IO[bytes]]:
    target = Path(os.path.realpath(path))
    in_place = path.exists() and not target.is_file()
    partial = (
        path
        if in_place
        else target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}.partial")
    )
    try:
        with partial.open(mode, **opening) as file:
            yield file
            file.flush()
            if not in_place:
                os.fsync(file.fileno())
        if not in_place:
            partial.replace(target)
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(partial)):
            raise  # the block raised this error, about another file
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        if not in_place:
            partial.unlink(missing_ok=True)
