"""Read the cells of a column as texts, lists of texts or numbers. Errors name the bad rows and the remedy."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ftool.data.table import Cell, Table
from ftool.errors import DataError

_LISTED = 20  # rows that an error names


@dataclass
class BadRows:
    """The errors of the rows that can't be read, so that one error can name them all.

    Attributes:
        rows: the numbers of the rows.
        first: the error of the first of these rows; None if there is no such row.
    """

    rows: list[int] = field(default_factory=list)
    first: DataError | None = None

    def add(self, row: int, error: DataError) -> None:
        """Add a row with its error, whose message names the source and the row."""
        self.rows.append(row)
        self.first = self.first or error

    def refuse(self) -> None:
        """Raise the error of the first bad row, with the numbers of the others; do nothing if there is no bad row."""
        if self.first is None:
            return
        others = self.rows[1:]
        also = f"; {listed_rows(others)} can't be read either" if others else ""
        raise DataError(f"{self.first}{also}") from self.first


def column_texts(table: Table, column: str, name: str = "text") -> list[str]:
    """Return the texts in the cells of a column.

    `name` is the noun for such a text in error messages. Raises DataError, which names the rows, if a cell is empty, is
    not a string, holds a NUL byte, or can't be encoded as UTF-8.
    """
    return checked_texts(table.source, table.numbers, table.cells(column), name)


def column_references(table: Table, column: str, name: str) -> list[tuple[str, ...]]:
    """Return a tuple of texts for each cell of a column. A cell holds one text or a list of texts.

    `name` is the noun for such a text in error messages. Raises DataError, which names the rows, if a list is empty, or
    if `checked_texts` refuses a text.
    """
    lists = [cell if isinstance(cell, list | tuple) else (cell,) for cell in table.cells(column)]
    name = f"{name} (column {column!r})"
    numbers = [row.number for row, texts in zip(table.rows, lists, strict=True) for _ in texts]
    checked = iter(checked_texts(table.source, numbers, [text for texts in lists for text in texts], name))
    references = [tuple(next(checked) for _ in texts) for texts in lists]
    for row, texts in zip(table.rows, references, strict=True):
        if not texts:
            raise DataError(f"{table.source}: row {row.number} without a {name}; correct or remove it")
    return references


def column_numbers(table: Table, column: str) -> list[float]:
    """Return the numbers in the cells of a column as floats.

    Raises DataError, which names the rows, if a cell is not a finite number.
    """
    cells = table.cells(column)
    numbers = [number_of(cell) for cell in cells]
    bad = [row.number for row, number in zip(table.rows, numbers, strict=True) if number is None]
    if bad:
        first = next(cell for cell, number in zip(cells, numbers, strict=True) if number is None)
        raise DataError(
            f"{table.source}: {listed_rows(bad)} with no number in the column {column!r}, such as "
            f"{str(first)[:40]!r}; correct or remove {'them' if bad[1:] else 'it'}"
        )
    return [number for number in numbers if number is not None]


def checked_texts(source: str, rows: Sequence[int], cells: Sequence[Cell], name: str = "text") -> list[str]:
    """Return the cells after checking that each is a text. `rows` holds the row number of each cell.

    In error messages, `source` names the data, and `name` is the noun for such a text. Raises DataError, which names
    the rows, if a cell is empty, is not a string, holds a NUL byte, or can't be encoded as UTF-8.
    """
    for what, is_bad in _PROBLEMS:
        bad = [row for row, cell in zip(rows, cells, strict=True) if is_bad(cell)]
        if bad:
            raise DataError(
                f"{source}: {listed_rows(bad)} {what.format(name)}; correct or remove {'them' if bad[1:] else 'it'}"
            )
    return [str(cell) for cell in cells]


def problem_of(cell: Cell, name: str = "text") -> str | None:
    """Return a phrase that describes what is wrong with a cell; None if the cell is a text without a problem.

    With the default `name`, the phrase is, for example, "without a text". `name` is the noun for such a text.
    """
    return next((what.format(name) for what, is_bad in _PROBLEMS if is_bad(cell)), None)


def refuse_constant(source: str, numbers: Sequence[float], name: str = "scores", remedy: str = "") -> None:
    """Raise DataError if all `numbers` are the same: a model can't learn from scores that do not differ.

    `name` is the noun for the numbers in the message, and `remedy` the end of the message.
    """
    if len(set(numbers)) == 1:
        raise DataError(f"{source}: all {name} are {numbers[0]:g}; they must differ{remedy}")


def number_of(cell: Cell) -> float | None:
    """Return a cell as a float; None if the cell is not a finite number."""
    if isinstance(cell, bool | Mapping):
        return None
    try:
        number = float(cell)
    except (TypeError, ValueError, OverflowError):  # OverflowError: a whole number beyond 1.8e308
        return None
    return number if math.isfinite(number) else None


def listed_rows(rows: Sequence[int]) -> str:
    """Return row numbers as a phrase for error messages: "row 5", "rows 5, 7 and 9".

    Of more than 20 rows, only the first 20 are named, and the others counted: "rows 1, 2, … and 8 more".
    """
    if len(rows) == 1:
        return f"row {rows[0]}"
    shown, more = rows[:_LISTED], len(rows) - _LISTED
    if more > 0:
        return f"rows {', '.join(map(str, shown))} and {more} more"
    return f"rows {', '.join(map(str, shown[:-1]))} and {shown[-1]}"


def is_missing(cell: Cell) -> bool:
    """Whether a cell is None, an empty string, or a string of only white space."""
    return cell is None or (isinstance(cell, str) and not cell.strip())


def is_unencodable(text: str) -> bool:
    """Whether a text holds half of a surrogate pair: UTF-8 can't encode such a text."""
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)


# The order matters: a check may assume that the checks before it have passed.
_PROBLEMS = (
    ("without a {}", is_missing),
    ("with a {} that is not a string", lambda cell: not isinstance(cell, str)),
    ("with a NUL byte in the {}", lambda cell: "\0" in cell),
    ("with half a surrogate pair in the {}", is_unencodable),
)
