"""Read CSV and TSV files as tables.

CSV is quoted as in RFC 4180, and the separator may be a semicolon, tab or vertical line instead of a comma. TSV has no
quoting, as its registration with IANA says: a quotation mark is part of the text, for example in most files of tweets.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ftool.data.cells import BadRows
from ftool.data.columns import header_below, is_usual
from ftool.data.sources.files import DataFile
from ftool.data.table import Row, Table, check_width
from ftool.errors import DataError
from ftool_runtime.text.rows import Row as Parsed
from ftool_runtime.text.rows import RowError, csv_delimiter, csv_rows, tsv_rows

_SEPARATORS = ("\t", "|", ";", ",")
_SNIFFED_LINES = 200  # lines read to recognise a table in a text file


def read_csv(file: DataFile, columns: Sequence[str] | None = None) -> Table:
    """Return a CSV file as a table. The first row is a header, unless `columns` names the columns.

    Raises DataError, which names the row, if a quotation mark is not closed, or if a row does not have one cell for
    each column.
    """
    lines = io.StringIO(file.text, newline="")
    count = None if columns is None else len(columns)
    rows = csv_rows(lines, columns=count, known=is_usual)
    table = _table(file.source, rows, columns, "put quotes around a text with commas or line breaks")
    lines = io.StringIO(file.text, newline="")
    return replace(table, delimiter=csv_delimiter(lines, columns=count, known=is_usual))


def read_tsv(file: DataFile, columns: Sequence[str] | None = None) -> Table:
    """Return a TSV file as a table. The first row is a header, unless `columns` names the columns.

    Raises DataError, which names the row, if a row does not have one cell for each column.
    """
    rows = tsv_rows(file.text.split("\n"))
    return _table(file.source, rows, columns, "a cell of TSV holds no tab or line break")


def separator_of(file: DataFile, columns: Sequence[str] | None) -> str | None:
    """Return the separator of a text file that is a table: a tab, vertical line, semicolon or comma; None for others.

    All of the first lines have the same number of separators. If `columns` names the columns, this number is theirs;
    otherwise the first line has the usual name of a column.
    """
    lines = [line for line in file.text.split("\n", _SNIFFED_LINES)[:_SNIFFED_LINES] if line.strip()]
    for mark in _SEPARATORS if columns is not None else _SEPARATORS[:2]:
        counts = {line.count(mark) for line in lines}
        if len(counts) == 1 and (
            counts == {len(columns) - 1}
            if columns is not None
            else counts != {0} and _is_header(lines[0], mark)
        ):
            return mark
    return None


def _is_header(line: str, mark: str) -> bool:
    return any(is_usual(cell) for cell in line.split(mark))


def _table(source: str, rows: Iterator[Parsed], columns: Sequence[str] | None, remedy: str) -> Table:
    try:
        first = next(rows, None) if columns is None else Parsed(1, columns)
        if first is None:  # nothing but what is left out, such as "sep=;"
            raise DataError(f"{source}: holds no rows")
        check_width(source, len(first.value))
        names = tuple(cell.strip() for cell in first.value)
        kept: list[Row] = []
        bad, cells_of_bad = BadRows(), []
        for number, cells in rows:
            if not any(cell.strip() for cell in cells):
                cells = ("",) * len(names)  # an empty row, however many separators it has
            if len(cells) != len(names):
                count = f"{len(cells)} cell{'s' if len(cells) != 1 else ''}"
                problem = f"has {count}, not {len(names)} ({', '.join(names)}); {remedy}"
                bad.add(number, DataError(f"{source}: row {number} {problem}"))
                cells_of_bad.append((number, cells))
            elif not (columns is not None and not kept and cells == names):  # a header in spite of `columns`
                kept.append(Row(number, cells))
    except RowError as error:
        raise DataError(f"{source}: row {error.number} {error.problem}") from error
    below = header_below(cells_of_bad[:1]) if columns is None and len(cells_of_bad) > len(kept) else ""
    if below:
        raise DataError(f"{source}: the header is not in row 1, which holds {', '.join(names)[:60]!r}{below}")
    bad.refuse()
    return Table(source, names, kept)
