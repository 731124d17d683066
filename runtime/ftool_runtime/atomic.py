"""Writing a file so that a reader, or a crash, sees the old content or the new and nothing between."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    """A UTF-8 text file that takes `path`'s place when the block ends well; otherwise `path` stays as it was.

    A symbolic link stays one: the file that it leads to is replaced. What is no file (`/dev/null`, a named pipe) must
    not be replaced by one, and is written to as it stands.

    Raises OSError as opening, writing or renaming does (no such folder, full disk); it names `path`.
    """
    target = Path(os.path.realpath(path))
    in_place = path.exists() and not target.is_file()
    partial = path if in_place else target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            yield file
            file.flush()
            if not in_place:
                os.fsync(file.fileno())
        if not in_place:
            partial.replace(target)
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(partial)):
            raise  # of another file, in the block
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        if not in_place:
            partial.unlink(missing_ok=True)
