"""Read the rows of CSV, TSV and JSON lines, each with the number of the line where it begins.

Callers decode the files and name them in errors; `RowError` says which line is wrong and why.
"""

import csv
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from ftool_runtime.errors import InputError
from ftool_runtime.json_reader import JsonError, read_json
from ftool_runtime.text.csv_form import PEEKED, CsvForm, csv_form

_CARRIAGE_RETURN: Final = re.compile(r"(?<=\r)(?!\n)")  # the place after one that ends a line
_NAMED_DELIMITER: Final = re.compile(r'"?sep=([,;\t|])"?', re.IGNORECASE)  # a first line for Excel
_LONGEST_CELL = 2**31 - 1  # characters; the csv module's default limit of 131,072 is too small for some texts


class Row(NamedTuple):
    """A row of a file.

    Attributes:
        number: the line where the row begins, from 1.
        value: the cells of a table as a tuple of strings, or a JSON value.
    """

    number: int
    value: Any


class RowError(InputError):
    """Raised if a row can't be read.

    Attributes:
        number: the line where the row begins, from 1.
        problem: the problem, as the end of a sentence that begins with the row's number.
    """

    def __init__(self, number: int, problem: str) -> None:
        super().__init__(f"line {number} {problem}")
        self.number = number
        self.problem = problem

    def __reduce__(self) -> tuple[object, ...]:
        return RowError, (self.number, self.problem)


def csv_rows(
    lines: Iterable[str], *, columns: int | None = None, known: Callable[[str], bool] | None = None
) -> Iterator[Row]:
    """Yield the rows of a CSV file (RFC 4180), including the header; empty lines are left out.

    A carriage return outside quotation marks ends a row, as a line feed does. The delimiter may be a comma, a
    semicolon, a tab or a vertical line, and cells may have single quotation marks or a space before them: the first
    lines decide. A first line such as "sep=;" names the delimiter.

    Args:
        lines: the file's lines, with or without line ends.
        columns: the expected number of columns, which decides the delimiter; None to take the delimiter that gives the
            most columns.
        known: whether a cell is the known name of a column, which decides between two possible delimiters.

    Raises RowError for a quotation mark that is not closed, or is inside a quoted cell.
    """
    lines = _lines_of(lines)
    first = list(itertools.islice(lines, PEEKED))
    form = _form(first, columns, known)
    named = _named_delimiter(first) is not None
    first = first[named:]
    read = ""

    def noted(lines: Iterable[str]) -> Iterator[str]:
        nonlocal read
        for line in lines:
            read = line
            yield line

    reader = csv.reader(
        noted(itertools.chain(first, lines)),
        delimiter=form.delimiter,
        quotechar=form.quote,
        skipinitialspace=form.spaced,
        strict=True,
    )
    while True:
        number = reader.line_num + (2 if named else 1)
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise RowError(number, f"is not CSV: {error}; {_quote_remedy(read)}") from error
        if cells:
            yield Row(number, tuple(cells))


def csv_delimiter(
    lines: Iterable[str], *, columns: int | None = None, known: Callable[[str], bool] | None = None
) -> str:
    """Return the delimiter by which `csv_rows` divides the same lines."""
    return _form(list(itertools.islice(_lines_of(lines), PEEKED)), columns, known).delimiter


def _form(first: Sequence[str], columns: int | None, known: Callable[[str], bool] | None) -> CsvForm:
    csv.field_size_limit(_LONGEST_CELL)
    named = _named_delimiter(first)
    return csv_form(first[1:] if named else first, columns, known, named)


def _lines_of(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines, each with a line end, divided at carriage returns too."""
    for line in lines:
        ended = line if line.endswith(("\n", "\r")) else line + "\n"
        yield from filter(None, _CARRIAGE_RETURN.split(ended))


def _quote_remedy(line: str) -> str:
    if '\\"' in line:
        return 'quotation marks have a backslash before them: write "" instead of \\"'
    return "look for a quote that does not close"


def _named_delimiter(lines: Sequence[str]) -> str | None:
    """Return the delimiter that the first line names, as in "sep=;"; None if the first line names none."""
    match = _NAMED_DELIMITER.fullmatch(lines[0].rstrip("\r\n")) if lines else None
    return match[1] if match else None


def tsv_rows(lines: Iterable[str]) -> Iterator[Row]:
    """Yield the rows of a TSV file, including the header; lines that are empty or hold only spaces are left out.

    TSV has no quoting, as in its IANA registration: a quotation mark is part of the text, as in most files of tweets.

    Args:
        lines: the file's lines, with or without line ends.
    """
    for number, line in enumerate(lines, 1):
        line = line.rstrip("\r\n")
        if line.strip(" "):
            yield Row(number, tuple(line.split("\t")))


def json_rows(lines: Iterable[str], *, bad: Callable[[RowError], None] | None = None) -> Iterator[Row]:
    """Yield the JSON value of each line; blank lines are left out.

    Args:
        lines: the file's lines, with or without line ends.
        bad: called with the error of a line that can't be read, which is then left out; None to raise RowError.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield Row(number, _json_value(line, number))
        except RowError as error:
            if bad is None:
                raise
            bad(error)


def _json_value(line: str, number: int) -> Any:
    try:
        return read_json(line, strict=False)
    except JsonError as error:
        raise RowError(number, str(error)) from error
