"""Report a full or failing disk as an OSError that names the folder, whichever library was writing."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_RUST = re.compile(r"\(os error (\d+)\)")  # in errors of safetensors and tokenizers
_TORCH = re.compile("failed writing file|iostream error|inline_container")  # torch.save gives no reason


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn a library's error about writing to `folder` into an OSError; other errors pass unchanged."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        number = _errno(str(error))
        if number is None:
            raise
        raise OSError(number, os.strerror(number), str(folder)) from error


def _errno(message: str) -> int | None:
    found = _RUST.search(message)
    if found:
        return int(found[1])
    return errno.EIO if _TORCH.search(message) else None
