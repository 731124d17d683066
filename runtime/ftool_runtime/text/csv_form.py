"""Recognise how a CSV file is written by its first lines: the delimiter, the quotation marks, spaces before cells."""

import csv
import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

DELIMITERS: Final = (",", ";", "\t", "|")  # possible delimiters of CSV; earlier ones win ties
PEEKED: Final = 4  # lines by which the form is recognised
_MOST_NAMES: Final = 16_384  # cells of the header that are compared with known names


class CsvForm(NamedTuple):
    """How a CSV file is written.

    Attributes:
        delimiter: the character between cells.
        quote: the quotation mark around cells: a double one as in RFC 4180, or a single one.
        spaced: whether a space follows each delimiter; the next cell begins after the space.
    """

    delimiter: str
    quote: str = '"'
    spaced: bool = False


def csv_form(
    lines: Sequence[str],
    columns: int | None = None,
    known: Callable[[str], bool] | None = None,
    delimiter: str | None = None,
) -> CsvForm:
    """Return the form of a CSV file.

    Args:
        lines: the first lines of the file, at most PEEKED of them; the first is the header, unless `columns` is given.
        columns: the expected number of columns, which decides the delimiter; None to take the delimiter that gives the
            most columns. Of several such delimiters, one that gives names which are `known` is taken, or else one that
            no space follows, as in prose.
        known: whether a cell is the known name of a column.
        delimiter: the delimiter, if the file names it.
    """
    lines = [line.rstrip("\r\n") for line in lines]
    mark = delimiter or _delimiter(lines[:1], columns, known)
    first, *rows = lines or [""]
    between = re.escape(mark)
    after_each = re.compile(rf"[^{between}]+({between} [^{between}]+)+")
    quoted = re.compile(rf'[^{between}"]+{between} +"[^"]*"({between}.*)?')
    cell = rf"('([^']|'')*'|[^'{between}]*)"
    singly = re.compile(rf"(?=.*'({between}|$)){cell}({between}{cell})+")
    return CsvForm(
        mark,
        quote="'" if rows and all(singly.fullmatch(row) for row in rows) else '"',
        spaced=mark != "\t"
        and (after_each.fullmatch(first) is not None or any(quoted.fullmatch(row) for row in rows)),
    )


def _delimiter(first: Sequence[str], columns: int | None, known: Callable[[str], bool] | None) -> str:
    cells = {mark: next(csv.reader(first, delimiter=mark), []) for mark in DELIMITERS}
    if columns is not None:
        return next((mark for mark in DELIMITERS if len(cells[mark]) == columns), ",")

    def rank(mark: str) -> tuple[int, int, bool]:
        names = [] if known is None else [cell for cell in cells[mark][:_MOST_NAMES] if known(cell.strip())]
        return len(cells[mark]), len(names), not any(cell.startswith(" ") for cell in cells[mark])

    return max(DELIMITERS, key=rank)
