"""Read the cells of a column as texts, lists of texts or numbers. Errors name the bad rows and the remedy."""

import math
from collections.abc import Mapping, Sequence

from ftool.data.table import Cell, Table
from ftool.errors import DataError


def column_texts(table: Table, column: str, name: str = "text") -> list[str]:
    """Return the cells of a column as texts, which errors call `name`.

    Raises DataError, which names the rows, for cells that are empty, not strings, or not encodable as UTF-8.
    """
    return checked_texts(table.source, table.numbers, table.cells(column), name)


def column_references(table: Table, column: str, name: str) -> list[tuple[str, ...]]:
    """Return a tuple of one or more texts for each cell of a column, a text or a list of texts.

    Errors call a text `name`. Raises DataError for an empty list, and for the cells that `checked_texts` refuses.
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
    """Return the cells of a column as floats. Raises DataError, which names the rows whose cell is not a number."""
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
    """Return the cells as texts, which errors call `name`. `rows` holds the row number of each cell.

    Raises DataError, which names the rows, for cells that are empty, not strings, or not encodable as UTF-8.
    """
    for what, is_bad in _PROBLEMS:
        bad = [row for row, cell in zip(rows, cells, strict=True) if is_bad(cell)]
        if bad:
            raise DataError(
                f"{source}: {listed_rows(bad)} {what.format(name)}; correct or remove {'them' if bad[1:] else 'it'}"
            )
    return [str(cell) for cell in cells]


def problem_of(cell: Cell, name: str = "text") -> str | None:
    """Return the problem with a cell that should be a text, such as "without a text"; None if the cell is good."""
    return next((what.format(name) for what, is_bad in _PROBLEMS if is_bad(cell)), None)


def refuse_constant(source: str, numbers: Sequence[float]) -> None:
    """Raise DataError if all numbers are the same, as nothing can be learnt from them."""
    if len(set(numbers)) == 1:
        raise DataError(f"{source}: all scores are {numbers[0]:g}; they must differ")


def number_of(cell: Cell) -> float | None:
    """Return a cell as a float, or None if the cell is not a finite number."""
    if isinstance(cell, bool | Mapping):
        return None
    try:
        number = float(cell)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def listed_rows(rows: Sequence[int]) -> str:
    """Return row numbers as text for errors: `row 5`, `rows 5, 7 and 9`, or the first five and a count of the rest."""
    if len(rows) == 1:
        return f"row {rows[0]}"
    shown, more = rows[:5], len(rows) - 5
    if more > 0:
        return f"rows {', '.join(map(str, shown))} and {more} more"
    return f"rows {', '.join(map(str, shown[:-1]))} and {shown[-1]}"


def is_missing(cell: Cell) -> bool:
    """Whether a cell is None, empty, or only white space."""
    return cell is None or (isinstance(cell, str) and not cell.strip())


def is_unencodable(text: str) -> bool:
    """Whether a text holds half a surrogate pair, which UTF-8 can't encode."""
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)


# The order matters: a check may assume that the checks before it have passed.
_PROBLEMS = (
    ("without a {}", is_missing),
    ("with a {} that is not a string", lambda cell: not isinstance(cell, str)),
    ("with a NUL byte in the {}", lambda cell: "\0" in cell),
    ("with half a surrogate pair in the {}", is_unencodable),
)
