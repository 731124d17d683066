"""Labels that are numbers to be met, not names: when data is of that kind, and how its cells are read."""

import math
from collections.abc import Mapping, Sequence

from ftool.data.columns import column_of, label_column
from ftool.data.examples import is_missing, listed_rows
from ftool.data.table import Cell, Table
from ftool.data.types import DataError
from ftool.recipe.data_settings import DataSettings

_STRAYS = 0.1  # cells that are no numbers, for each that is one


def is_regression(settings: DataSettings, tables: Mapping[str, Table]) -> bool:
    """Whether labels are numbers: as the settings say, or else where nearly all are and at least one is no whole one.

    Nearly: a stray cell among scores is a mistake, which `numbers_of` names, and does not make them labels.
    """
    if settings.regression is not None:
        return settings.regression
    if settings.label_names or settings.label_separator or settings.multi_label:
        return False
    found: list[float] = []
    strays = 0
    for table in tables.values():
        column = table.columns[label_column(table, settings.label)]
        if column in table.class_names:
            return False
        cells = [cell for cell in column_of(table, column) if not is_missing(cell)]
        numbers = [number for number in map(number_of, cells) if number is not None]
        found += numbers
        strays += len(cells) - len(numbers)
    return strays <= _STRAYS * len(found) and any(not number.is_integer() for number in found)


def numbers_of(table: Table, column: str) -> list[float]:
    """The cells of a column as numbers. Raises DataError naming the rows that hold none."""
    cells = column_of(table, column)
    numbers = [number_of(cell) for cell in cells]
    bad = [row.number for row, number in zip(table.rows, numbers, strict=True) if number is None]
    if bad:
        first = next(cell for cell, number in zip(cells, numbers, strict=True) if number is None)
        raise DataError(
            f"{table.source}: {listed_rows(bad)} with no number in the column {column!r}, such as "
            f"{str(first)[:40]!r}; correct or remove {'them' if bad[1:] else 'it'}"
        )
    return [number for number in numbers if number is not None]


def refuse_constant(source: str, numbers: Sequence[float]) -> None:
    """Raise DataError where all numbers are one, of which nothing can be learnt."""
    if len(set(numbers)) == 1:
        raise DataError(f"{source}: all scores are {numbers[0]:g}; they must differ")


def number_of(cell: Cell) -> float | None:
    """A cell as a finite number; None where it is none."""
    if isinstance(cell, bool | Mapping):
        return None
    try:
        number = float(cell)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
