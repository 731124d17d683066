"""Read the cells of a label column. Each cell holds the names or numbers of one or several labels."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ftool.data.columns import LABEL, find_column
from ftool.data.rows.base import first_of
from ftool.data.sources.files import read_text
from ftool.data.table import Cell, Table
from ftool.errors import DataError
from ftool.recipe.data_settings import DataSettings

_NUMBERS = re.compile(r"\s*\d+(\s*,\s*\d+)*\s*$")


@dataclass(frozen=True, slots=True)
class LabelCells:
    """Settings for reading the label cells of a data set.

    Attributes:
        multi_label: whether a text can have any number of labels, rather than exactly one.
        separator: the string that separates the labels within a cell; None if a string is always a single label.
        names: the label names, if cells hold label numbers: the number `n` means `names[n]`; None if cells hold names.
    """

    multi_label: bool
    separator: str | None
    names: tuple[str, ...] | None

    def read(self, cell: Cell, source: str, row: int) -> tuple[str, ...]:
        """Return the distinct label names in a cell.

        `source` and `row` say in error messages where the cell is. Raises DataError if a number has no name in `names`
        and, unless `multi_label` is true, if the cell does not hold exactly one label.
        """
        parts = [self._name(part, source, row) for part in self._parts(cell)]
        if self.multi_label:
            return tuple(dict.fromkeys(parts))
        if len(parts) == 1:
            return (parts[0],)
        what = "no label" if not parts else f"{len(parts)} labels ({', '.join(parts)})"
        raise DataError(
            f"{source}: row {row} has {what}, but each text needs exactly one; correct it, or use --multi-label"
        )

    def _parts(self, cell: Cell) -> list[Cell]:
        if cell is None:
            return []
        if isinstance(cell, list | tuple):
            return list(cell)
        if isinstance(cell, str):
            pieces = cell.split(self.separator) if self.separator is not None else [cell]
            return [piece.strip() for piece in pieces if piece.strip()]
        return [cell]

    def _name(self, part: Cell, source: str, row: int) -> str:
        if isinstance(part, bool):
            part = str(part).lower()
        if isinstance(part, float) and part.is_integer():
            part = int(part)  # a whole column becomes floats if one of its cells was empty
        if not isinstance(part, str | int):
            raise DataError(f"{source}: row {row} has a label that is not a string or number: {part!r}")
        if self.names is None:
            return str(part)
        number = str(part).strip()
        if number in self.names:
            return number
        if not number.isdecimal() or int(number) >= len(self.names):
            raise DataError(
                f"{source}: row {row} has the label {number!r}, but the names are numbered 0 to {len(self.names) - 1}"
            )
        return self.names[int(number)]


def label_cells(settings: DataSettings, tables: Mapping[str, Table]) -> LabelCells:
    """Return the settings for reading the label cells. Settings that the user did not choose follow from the cells.

    By default, the data set is multi-label if a cell holds a list, the separator, or several numbers of labels whose
    names are known (`2,27`).
    """
    first = first_of(tables)
    names = read_label_names(settings.label_names) or first.class_names.get(
        find_column(first, LABEL, settings.label)
    )
    cells = [
        cell for table in tables.values() for cell in table.cells(find_column(table, LABEL, settings.label))
    ]
    multi = settings.multi_label
    separator = settings.label_separator
    if separator is None and (multi or (multi is None and names is not None and _are_numbers(cells))):
        separator = ","
    if multi is None:
        multi = any(_holds_several(cell, separator) for cell in cells)
    return LabelCells(multi, separator, None if names is None else tuple(names))


def read_label_names(path: str | None) -> tuple[str, ...] | None:
    """Return the label names in the file `path`, which has one name per line; None if `path` is None.

    Raises DataError if the file can't be read or has a name more than once.
    """
    if path is None:
        return None
    names = tuple(line.strip() for line in read_text(Path(path)).splitlines() if line.strip())
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{path}: has {twice[0]!r} more than once")
    return names


def _are_numbers(cells: Sequence[Cell]) -> bool:
    return all(isinstance(cell, str) and (_NUMBERS.match(cell) or not cell.strip()) for cell in cells)


def _holds_several(cell: Cell, separator: str | None) -> bool:
    if isinstance(cell, list | tuple):
        return True
    return isinstance(cell, str) and separator is not None and separator in cell
