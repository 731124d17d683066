"""Read the cells of a label column as regression targets: each cell holds a number, or several numbers."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ftool.data.cell_literals import BadLiteralError, read_literal
from ftool.data.cells import BadRows, column_numbers, is_missing, number_of
from ftool.data.columns import LABEL, Column, find_column, optional_column
from ftool.data.label_policy import ModelFacts
from ftool.data.rows.base import first_of
from ftool.data.rows.label_names import names_for
from ftool.data.table import Cell, Row, Table
from ftool.errors import DataError
from ftool.recipe.data_settings import DataSettings

_WITH_COMMA = re.compile(r"[+-]?\d+(,\d+)?")
_MAX_STRAY_RATIO = 0.1  # largest ratio of cells that are not numbers to cells that are, in a column of scores
_SHARE_GAP = 0.01  # from 1, in the sum of rounded shares


@dataclass(frozen=True, slots=True)
class NumberCells:
    """Settings for reading the regression targets of a data set.

    Attributes:
        names: the name of each number of a cell, in the order of the model's outputs; empty if a cell is one number.
        unnamed: whether the data does not name the numbers.
    """

    names: tuple[str, ...] = ()
    unnamed: bool = False

    def read(self, table: Table, column: str) -> list[tuple[float, ...]]:
        """Return the numbers of each cell of a column, in the order of `names`.

        Raises DataError, which names the rows, if a cell does not hold as many finite numbers as there are names.
        """
        if not self.names:
            return [(number,) for number in column_numbers(table, column)]
        found, bad = [], BadRows()
        for row, cell in zip(table.numbers, table.cells(column), strict=True):
            try:
                found.append(self._numbers(cell, f"{table.source}: row {row}"))
            except DataError as error:
                bad.add(row, error)
        bad.refuse()
        return found

    def _numbers(self, cell: Cell, where: str) -> tuple[float, ...]:
        parts = several_in(cell) or ()
        if isinstance(parts, Mapping):
            parts = [parts.get(name) for name in self.names] if len(parts) == len(self.names) else ()
        numbers = [number for number in map(number_of, parts) if number is not None]
        if not len(numbers) == len(parts) == len(self.names):
            raise DataError(
                f"{where} has {str(cell)[:60]!r} instead of {len(self.names)} numbers "
                f"({', '.join(self.names)[:80]}); correct or remove it"
            )
        return tuple(numbers)


def number_cells(
    settings: DataSettings, tables: Mapping[str, Table], model: ModelFacts | None, columns: Sequence[str]
) -> NumberCells:
    """Return the settings for reading regression targets.

    Several numbers are called like the `columns` that were joined, as in the file of label names, like the keys of the
    cells, or "0", "1" and so on; for a trained model they have the names of the model's outputs.

    Raises DataError if there are more or fewer numbers in a cell than names.
    """
    first = first_of(tables)
    column = find_column(first, LABEL, settings.label)
    cells = [several_in(cell) for table in tables.values() for cell in table.cells(column)]
    counts = Counter(len(parts) for parts in cells if parts is not None and len(parts) > 1)
    count = max(counts, key=lambda one: counts[one], default=1)
    file = names_for(settings.label_names, first, column) if count > 1 else None
    like_others = next((parts for parts in cells if parts is not None and len(parts) == count), ())
    keys = tuple(like_others) if isinstance(like_others, Mapping) else ()
    own = tuple(columns) or tuple((file or {}).values()) or keys
    names = own if model is None else tuple(model.labels)
    if not names and count > 1 and model is None:
        names = tuple(map(str, range(count)))
    if (len(names) or 1) != count:
        wanted = f"{len(names)} ({', '.join(names)[:80]})" if names else "one"
        which = "are named" if model is None else "is what the model gives"
        raise DataError(
            f"{first.source}: each text has {count} number{'s' if count > 1 else ''}, but {wanted} {which}; name a "
            "column for each, in this order, with --label-column NAME,NAME,…"
        )
    return NumberCells(names, unnamed=not own)


def with_decimal_points(
    tables: Mapping[str, Table], column: Column, name: str | None, settings: DataSettings
) -> Mapping[str, Table]:
    """Return the tables with points for decimal commas in a column of numbers, and with a note about this.

    In files whose cells a semicolon separates, as where numbers have decimal commas, and if numbers are asked for, such
    a column holds numbers. In others, `3,5` may be two labels.
    """
    several = settings.label_separator or settings.multi_label or settings.label_names
    if several or settings.regression is False:
        return tables
    places = {split: optional_column(table, column, name) for split, table in tables.items()}
    cells = [
        cell
        for split, table in tables.items()
        if (found := places[split]) is not None
        for cell in table.cells(found)
        if not is_missing(cell)
    ]
    semicolons = all(table.delimiter == ";" for table in tables.values())
    numbers = [isinstance(cell, str) and _WITH_COMMA.fullmatch(cell.strip()) for cell in cells]
    if not (semicolons or settings.regression) or not all(numbers) or not any("," in cell for cell in cells):
        return tables
    return {split: _with_points(table, places[split]) for split, table in tables.items()}


def _with_points(table: Table, name: str | None) -> Table:
    if name is None:
        return table
    place = table.columns.index(name)
    rows = [
        Row(row.number, tuple(_point(cell) if one == place else cell for one, cell in enumerate(row.cells)))
        for row in table.rows
    ]
    note = f"{table.source}: numbers with decimal commas in the column {name!r}"
    return replace(table, rows=rows, notes=(*table.notes, note))


def _point(cell: Cell) -> Cell:
    return cell.replace(",", ".") if isinstance(cell, str) else cell


def several_in(cell: Cell) -> Sequence[Cell] | Mapping[str, Cell] | None:
    """Return the parts of a cell that holds a list or a dict, also as text; None for any other cell."""
    try:
        value = read_literal(cell)
    except BadLiteralError:
        return None
    return value if isinstance(value, list | tuple | Mapping) else None


def are_scores(cells: Iterable[Cell]) -> bool:
    """Whether nearly all cells are numbers, and at least one is not a whole number; empty cells do not count.

    A few cells that are not numbers do not change the result: they are mistakes, for which reading raises an error. The
    parts of a list or a dict count as cells.
    """
    parts = [part for cell in cells for part in _parts(cell) if not is_missing(part)]
    numbers = [number for number in map(number_of, parts) if number is not None]
    strays = len(parts) - len(numbers)
    return strays <= _MAX_STRAY_RATIO * len(numbers) and any(not number.is_integer() for number in numbers)


def are_shares(cells: Iterable[Cell]) -> bool:
    """Whether all cells are lists, or dicts, of numbers that add up to 1, such as the shares of votes for labels."""
    sums = [
        sum(number_of(part) or 0.0 for part in _parts(cell)) if several_in(cell) is not None else 0.0
        for cell in cells
    ]
    return all(abs(one - 1) < _SHARE_GAP for one in sums)


def _parts(cell: Cell) -> Iterable[Cell]:
    several = several_in(cell)
    if several is None:
        return (cell,)
    return several.values() if isinstance(several, Mapping) else several
