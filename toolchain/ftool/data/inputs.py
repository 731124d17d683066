"""Read the inputs of a model from a file of any kind that holds data, for `ftool predict`."""

import itertools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ftool.data.columns import named_column
from ftool.data.sources.arrow_files import parquet_batches, parquet_columns
from ftool.data.sources.conll import CONLL_SUFFIXES
from ftool.data.sources.conllu import CONLLU_SUFFIXES
from ftool.data.sources.files import DataFile, data_file, files_below
from ftool.data.sources.find import SUFFIXES, only_table, read_file
from ftool.data.table import Table
from ftool.encodings import examine
from ftool.errors import DataError
from ftool_runtime.errors import FtoolError, InputError
from ftool_runtime.text.csv_form import PEEKED
from ftool_runtime.text.files import Columns, numbered_rows, numbered_texts
from ftool_runtime.text.input_rows import InputRow, checked_inputs, input_rows
from ftool_runtime.text.rows import csv_rows, json_rows, tsv_rows

_log = logging.getLogger(__name__)

_DEEPEST = 16  # folders below a folder of data
_TEXTS = ("string", "null")  # in the names of Arrow's types that a column of texts can have

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

    Lines of text, tables and JSON lines in UTF-8 and Parquet are read as they are consumed. Other encodings, compressed
    files and other kinds of file are read as a whole, as training data is.

    Args:
        path: the file.
        column: the column that holds the text, or a mapping from each field of an input to its column.
        names: the names of the columns of a file without a header; None if the file names them.

    Raises DataError or InputError, which name the file and the row, if the file can't be read, lacks the column, or has
    a text that the model can't read.
    """
    yield from checked_inputs(_numbered(path, column, names), str(path), keep_blank=True)


def read_rows(path: Path, column: Columns, names: Sequence[str] | None) -> Iterator[InputRow]:
    """Yield every row of a file, in the order in which `read_inputs` yields the inputs, also rows with a problem.

    The arguments are those of `read_inputs`. Raises DataError or InputError if the file can't be read, lacks the
    column, or can't be read any further.
    """
    return input_rows(_numbered(path, column, names), str(path))


def _numbered(path: Path, column: Columns, names: Sequence[str] | None) -> Iterator[tuple[int, object]]:
    file = data_file(path)
    if file.suffix == ".parquet" and path.name == file.name:
        for table in parquet_batches(path):
            yield from _of_table(table, column)
    elif file.suffix in _WHOLE:
        yield from _of_table(only_table(read_file(path, names), "test", str(path)), column)
    elif path.name == file.name and _is_utf_8(path):
        yield from numbered_texts(path, column, names)
    else:
        yield from numbered_rows(_lines(file), file.name, str(path), column, names)


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


def data_files(path: Path) -> list[Path]:
    """Return the file at `path`, or the files with rows in the folder at `path` and its folders, sorted by path.

    Hidden files are left out, and text files beside files of another kind, which say something about the data. Raises
    InputError if there is no such file or folder, or no file with rows in it.
    """
    if not path.is_dir():
        if not path.exists():
            raise InputError(f"{path}: there is no such file or folder")
        return [path]
    found = [file for file in files_below(path, _DEEPEST) if file.suffix in SUFFIXES]
    tables = [file for file in found if file.suffix != ".txt"] or found
    if not tables:
        raise InputError(f"{path}: the folder holds no file with rows, such as .parquet, .csv or .jsonl")
    return sorted(Path(file.source) for file in tables)


def check_columns(path: Path, column: Columns, names: Sequence[str] | None, *, like: Path) -> None:
    """Raise InputError if a file lacks a column, or holds something else than texts there.

    `like` is another file of the same data, which has the columns, for the message. Files whose columns are unknown
    before they are read pass.
    """
    fields = {"text": column} if isinstance(column, str) else column
    header = _header(path, names)
    missing = [] if header is None else [name for name in fields.values() if name not in header]
    if missing:
        other = "" if path == like else f", as {like} does; all files need the same columns"
        raise InputError(
            f"{path} has no column {' or '.join(map(repr, missing))}{other}; it has {', '.join(header or ())}"
            + ("; name one with --column" if path == like else "")
        )
    if header is not None and path.suffix.lower() == ".parquet":
        types = parquet_columns(path)
        for name in fields.values():
            if types[name] and not any(kind in types[name] for kind in _TEXTS):
                raise InputError(f"{path}: the column {name!r} holds {types[name]}, not texts")


def _header(path: Path, names: Sequence[str] | None) -> Sequence[str] | None:
    """Return the names of a file's columns; None if it has none or can't be read, which its reader then says."""
    if names is not None:
        return names
    file = data_file(path)
    try:
        if file.suffix == ".parquet" and path.name == file.name:
            return tuple(parquet_columns(path))
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
