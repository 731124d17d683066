"""Open the files of a bundle, which may be hostile: only regular files inside the bundle, of a bounded size."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ftool_runtime.bundle.paths import path_inside
from ftool_runtime.errors import BundleError
from ftool_runtime.json_reader import JsonError, read_json
from ftool_runtime.regular_files import NotRegularError, open_regular

LARGEST_SETTINGS: Final = (
    2**24
)  # bytes of ftool.json and of files with settings; real ones have some kilobytes
LARGEST_TEMPLATE: Final = 2**20  # bytes of a chat template
LARGEST_GOLDEN: Final = 2**28  # bytes of golden.json, which holds outputs for every token
LARGEST_TOKENIZER: Final = 2**29  # bytes of tokenizer.json; real ones have up to 35 MB


def read_file(folder: Path, name: str, largest: int) -> bytes:
    """Return the content of the file `name` of the bundle in `folder`.

    Raises BundleError, which names the file, if it is missing, outside the bundle, not a regular file, larger than
    `largest` bytes, or can't be read.
    """
    path = path_inside(folder, name)
    try:
        with open_bundled(path) as file:
            content = file.read(largest + 1)
    except OSError as error:
        raise BundleError(f"can't read {path}: {error.strerror or error}") from error
    if len(content) > largest:
        raise BundleError(
            f"{path} is larger than {largest:,} bytes, which no real {path.name} is; do not use it"
        )
    return content


def read_text_file(folder: Path, name: str, largest: int) -> str:
    """Return the UTF-8 text in a file; arguments and errors are those of `read_file`."""
    try:
        return read_file(folder, name, largest).decode("utf-8")
    except UnicodeDecodeError as error:
        raise BundleError(f"can't read {folder / name}: {error}; copy or export the bundle again") from error


def read_json_file(folder: Path, name: str, largest: int = LARGEST_SETTINGS) -> Any:
    """Return the JSON value in a file; arguments are those of `read_file`.

    Raises the errors of `read_file`, and BundleError, which names the file and the place in it, for what `read_json`
    refuses.
    """
    content = read_file(folder, name, largest)
    try:
        return read_json(content)
    except JsonError as error:
        raise BundleError(f"{folder / name} {error}; copy or export the bundle again") from error


@contextmanager
def open_bundled(path: Path) -> Iterator[io.BufferedReader]:
    """Yield the regular file at `path`, opened for reading in binary.

    Raises BundleError if `path` is anything else, such as a named pipe, which is not opened, and OSError.
    """
    try:
        with open_regular(path) as file:
            yield file
    except NotRegularError as error:
        raise BundleError(f"{path} {error.reason}; copy or export the bundle again") from error
