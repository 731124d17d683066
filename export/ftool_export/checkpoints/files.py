"""Single files of a checkpoint, folder or hub id."""

from pathlib import Path

from transformers.utils import cached_file


def find_file(source: str, name: str) -> Path | None:
    """The local path of one file of a checkpoint folder or hub id, or None where there is no such file."""
    found = cached_file(
        source,
        name,
        _raise_exceptions_for_gated_repo=False,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return None if found is None else Path(found)
