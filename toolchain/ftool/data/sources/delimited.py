"""CSV and TSV files as tables.

CSV is quoted as RFC 4180 says; a semicolon or tab may stand for the comma. TSV has no quoting, as IANA has
it: a quotation mark there is part of the text, as it is in most files of tweets.
"""

import csv
import io
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from ftool.data.dataset import DataError
from ftool.data.sources.files import read_text
from ftool.data.table import Row, Table

_DELIMITERS = (",", ";", "\t")


def read_csv(path: Path, columns: Sequence[str] | None = None) -> Table:
    """A CSV file, whose first row names the columns unless `columns` does.

    Raises DataError naming the row for quotes that don't close and rows longer or shorter than the header.
    """
    text = read_text(path)
    return _table(
        path,
        _csv_rows(path, text, _delimiter(text, columns)),
        columns,
        "put quotes around a text with commas",
    )


def read_tsv(path: Path, columns: Sequence[str] | None = None) -> Table:
    """A TSV file, whose first row names the columns unless `columns` does; errors as of `read_csv`."""
    return _table(path, _tsv_rows(read_text(path)), columns, "a cell of TSV holds no tab or line break")


def _delimiter(text: str, columns: Sequence[str] | None) -> str:
    first = text.split("\n", 1)[0]
    counts = {mark: len(next(csv.reader([first], delimiter=mark), [])) for mark in _DELIMITERS}
    if columns is not None:
        return next((mark for mark in _DELIMITERS if counts[mark] == len(columns)), ",")
    return max(_DELIMITERS, key=lambda mark: counts[mark])


def _csv_rows(path: Path, text: str, delimiter: str) -> Iterator[Row]:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # texts may be long; they are cut to tokens later
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(
                f"{path}: row {number} is not CSV: {error}; look for a quote that does not close"
            ) from error
        if cells:
            yield Row(number, tuple(cells))


def _tsv_rows(text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.removesuffix("\r")
        if line.strip():
            yield Row(number, tuple(line.split("\t")))


def _table(path: Path, rows: Iterator[Row], columns: Sequence[str] | None, remedy: str) -> Table:
    if columns is None:
        header = next(rows)
        names = tuple(str(name).strip() for name in header.cells)
    else:
        names = tuple(columns)
    kept: list[Row] = []
    for row in rows:
        if len(row.cells) != len(names):
            count = f"{len(row.cells)} cell{'s' if len(row.cells) != 1 else ''}"
            raise DataError(
                f"{path}: row {row.number} has {count}, not {len(names)} ({', '.join(names)}); {remedy}"
            )
        if not (columns is not None and not kept and row.cells == names):  # a header after all
            kept.append(row)
    return Table(str(path), names, kept)
