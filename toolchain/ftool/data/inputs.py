"""Read the inputs of a model from a file of any kind that holds data, for `ftool predict`."""

import itertools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ftool.data.columns import named_column
from ftool.data.sources.conll import CONLL_SUFFIXES
from ftool.data.sources.conllu import CONLLU_SUFFIXES
from ftool.data.sources.files import DataFile, data_file
from ftool.data.sources.find import SUFFIXES, only_table, read_file
from ftool.data.table import Table
from ftool.encodings import examine
from ftool.errors import DataError
from ftool_runtime.errors import FtoolError
from ftool_runtime.text.csv_form import PEEKED
from ftool_runtime.text.files import Columns, checked_inputs, read_texts, texts_of
from ftool_runtime.text.rows import csv_rows, json_rows, tsv_rows

_log = logging.getLogger(__name__)

# Kinds of file without lines, which the readers of training data read as a whole.
_WHOLE = frozenset(SUFFIXES) - {
    ".csv",
    ".psv",
    ".tsv",
    ".txt",
    ".jsonl",
    ".ndjson",
    *CONLL_SUFFIXES,
    *CONLLU_SUFFIXES,
}


def read_inputs(path: Path, column: Columns, names: Sequence[str] | None) -> Iterator[Any]:
    """Yield the inputs in a file, and None for an input with an empty text.

    Lines of text, tables and JSON lines in UTF-8 are read as they are consumed. Other encodings, compressed files and
    other kinds of file are read as a whole, as training data is.

    Args:
        path: the file.
        column: the column that holds the text, or a mapping from each field of an input to its column.
        names: the names of the columns of a file without a header; None if the file names them.

    Raises DataError or InputError, which name the file and the row, if the file can't be read, lacks the column, or has
    a text that the model can't read.
    """
    file = data_file(path)
    if file.suffix in _WHOLE:
        table = only_table(read_file(path, names), "test", str(path))
        yield from checked_inputs(_of_table(table, column), table.source, keep_blank=True)
    elif path.name == file.name and _is_utf_8(path):
        yield from read_texts(path, column, names=names, keep_blank=True)
    else:
        lines = _lines(file)
        yield from texts_of(lines, file.name, str(path), column, names=names, keep_blank=True)


def known_columns(
    path: Path, column: Columns, names: Sequence[str] | None, trained: Callable[[], Mapping[str, str]]
) -> Columns:
    """Return the columns that hold the texts of a file, for `read_inputs`.

    Args:
        path: the file.
        column: the column that holds the text, or a mapping from each field of an input to its column.
        names: the names of the columns of a file without a header; None if the file names them.
        trained: returns the column of each field of an input in the training data. A file that lacks a column of
            `column` is read as the training data is; this is only called for such a file.
    """
    fields = {"text": column} if isinstance(column, str) else dict(column)
    header = _header(path, names)
    if header is None or all(name in header for name in fields.values()):
        return column
    of_training = trained()
    for field, name in fields.items():
        if name not in header and of_training.get(field) in header:
            fields[field] = of_training[field]
            _log.info("%s: %s from the column %r, as in training", path, field, fields[field])
    return fields["text"] if isinstance(column, str) else fields


def _header(path: Path, names: Sequence[str] | None) -> Sequence[str] | None:
    """Return the names of a file's columns; None if it has none or can't be read, which its reader then says."""
    if names is not None:
        return names
    file = data_file(path)
    try:
        if file.suffix in _WHOLE:
            return only_table(read_file(path, None), "test", str(path)).columns
        if path.name == file.name and _is_utf_8(path):
            with path.open(encoding="utf-8-sig", newline="") as opened:
                lines = list(itertools.islice(opened, PEEKED + 1))
        else:
            lines = file.text.split("\n")[: PEEKED + 1]
        if file.suffix in (".csv", ".psv"):
            return tuple(map(str, next(csv_rows(lines)).value))
        if file.suffix == ".tsv":
            return tuple(map(str, next(tsv_rows(lines)).value))
        value = next(json_rows(lines)).value if file.suffix in (".jsonl", ".ndjson") else None
    except (FtoolError, OSError, UnicodeError, StopIteration):
        return None
    return tuple(value) if isinstance(value, dict) else None


def _is_utf_8(path: Path) -> bool:
    """Whether a file is UTF-8, or can't be opened, which its reader then says."""
    try:
        encoding = examine(path).encoding
    except OSError:
        return True
    return encoding in ("utf-8", "utf-8-sig")


def _lines(file: DataFile) -> list[str]:
    lines = file.text.removesuffix("\n").split("\n")
    for warning in file.warnings:
        _log.warning("%s", warning)
    return [line.removesuffix("\r") for line in lines]


def _of_table(table: Table, column: Columns) -> Iterator[tuple[int, object]]:
    try:
        if isinstance(column, str):
            yield from zip(table.numbers, table.cells(named_column(table, column)), strict=True)
            return
        cells = {field: table.cells(named_column(table, name)) for field, name in column.items()}
    except DataError as error:
        raise DataError(f"{error}; name one with --column") from error
    for position, number in enumerate(table.numbers):
        yield number, {field: column[position] for field, column in cells.items()}
