"""Find and read the files of a checkpoint, given as a folder or hub id, and keep transformers quiet meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers.utils import cached_file
from transformers.utils import logging as hf_logging

from ftool_export.checkpoints.places import require_place
from ftool_export.errors import CheckpointError
from ftool_runtime.json_reader import JsonError
from ftool_runtime.json_reader import read_json as parse_json


def find_file(source: str, name: str) -> Path | None:
    """Return the local path of one file of a checkpoint (a folder or hub id); None if the checkpoint lacks the file.

    Raises CheckpointError if `source` is neither a folder nor a model in the hub's cache, and the hub can't be reached.
    """
    require_place(source)
    found = cached_file(
        source,
        name,
        _raise_exceptions_for_gated_repo=False,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return None if found is None else Path(found)


def read_json(source: str, name: str) -> Any:
    """Return the content of one JSON file of a checkpoint, or None if the checkpoint lacks the file.

    Raises CheckpointError if the file is not valid JSON.
    """
    path = find_file(source, name)
    if path is None:
        return None
    try:
        return parse_json(path.read_bytes(), strict=False)
    except JsonError as error:
        raise CheckpointError(
            f"{path}: not valid JSON ({error}); fetch or write the checkpoint again"
        ) from error


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence transformers' progress bars and warnings, such as its report of missing weights, in a `with` block."""
    verbosity, bar = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        hf_logging.set_verbosity(verbosity)
        if bar:
            hf_logging.enable_progress_bar()


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, for the message of another error."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
