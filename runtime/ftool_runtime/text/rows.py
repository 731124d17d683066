"""Read the rows of CSV, TSV and JSON lines, each with the number of the line that it begins on.

The callers decode files and name them in errors; `RowError` says which line is at fault and why.
"""

import csv
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

from ftool_runtime.errors import InputError

DELIMITERS: Final = (",", ";", "\t")  # of CSV; the comma wins a tie
_LONGEST_CELL = 2**31 - 1  # characters; the csv module's default limit of 131,072 is too small for some texts


class Row(NamedTuple):
    """A row of a file.

    Attributes:
        number: the line that it begins on, from 1.
        value: the cells of a table as a tuple of strings, or a JSON value.
    """

    number: int
    value: Any


class RowError(InputError):
    """A row can't be read.

    Attributes:
        number: the line that it begins on, from 1.
        problem: what is wrong, as the end of a sentence such as "row 3 …".
    """

    def __init__(self, number: int, problem: str) -> None:
        super().__init__(f"line {number} {problem}")
        self.number = number
        self.problem = problem

    def __reduce__(self) -> tuple[object, ...]:
        return RowError, (self.number, self.problem)


def csv_rows(lines: Iterable[str], *, columns: int | None = None) -> Iterator[Row]:
    """The rows of a CSV file (RFC 4180), the header included; empty lines are left out.

    A semicolon or tab may replace the comma: the first line decides.

    Args:
        lines: with their ends or without.
        columns: how many columns to expect; None: take the delimiter that gives the most.

    Raises RowError for a quotation mark that does not close, or one inside a quoted cell.
    """
    csv.field_size_limit(_LONGEST_CELL)
    lines = (line if line.endswith(("\n", "\r")) else line + "\n" for line in lines)
    first = list(itertools.islice(lines, 1))
    delimiter = _delimiter(first, columns)
    reader = csv.reader(itertools.chain(first, lines), delimiter=delimiter, strict=True)
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise RowError(number, f"is not CSV: {error}; look for a quote that does not close") from error
        if cells:
            yield Row(number, tuple(cells))


def tsv_rows(lines: Iterable[str]) -> Iterator[Row]:
    """The rows of a TSV file, the header included; lines that are empty or hold only spaces are left out.

    TSV has no quoting, as IANA registers it: a quotation mark is part of its text, as in most files of tweets.

    Args:
        lines: with their ends or without.
    """
    for number, line in enumerate(lines, 1):
        line = line.rstrip("\r\n")
        if line.strip(" "):
            yield Row(number, tuple(line.split("\t")))


def json_rows(lines: Iterable[str], *, bad: Callable[[RowError], None] | None = None) -> Iterator[Row]:
    """The values of a file of JSON lines, one a line; blank lines are left out.

    Args:
        lines: with their ends or without.
        bad: called for a line that can't be read, which is then left out; None: raise RowError instead.
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
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise RowError(number, f"is not JSON: {error.msg} at column {error.colno}") from error
    except (ValueError, RecursionError) as error:  # a number that is too long, or lists nested too deeply
        raise RowError(number, f"is JSON that can't be read: {error}") from error


def _delimiter(first: list[str], columns: int | None) -> str:
    counts = {mark: _cells_of(first, mark) for mark in DELIMITERS}
    if columns is not None:
        return next((mark for mark in DELIMITERS if counts[mark] == columns), ",")
    return max(DELIMITERS, key=lambda mark: counts[mark])


def _cells_of(lines: list[str], delimiter: str) -> int:
    return len(next(csv.reader(lines, delimiter=delimiter), ()))
