"""Leave out rows whose label says that there is none: -1 among the numbers of classes, or a hyphen among names."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ftool.data.cells import is_missing, listed_rows
from ftool.data.rows.label_names import whole_number
from ftool.data.table import Cell, Table

_LEAST_CLASSES = 3  # with 0 and 1 alone, -1 may be a class of its own, such as a negative mood


def placeholder_of(columns: Sequence[tuple[Table, str]], *, named: bool) -> str | None:
    """Return the label that stands for a missing one in the label columns of all tables: "-1" or "-"; or None.

    `named` is whether the user names the classes by number. -1 stands for no label if the source or the user names the
    classes by number, or if the other labels are the numbers from 0 to 2 or more; a hyphen does if the other labels are
    words. Data sets with labels of several people, such as SNLI, write these where the people disagree.
    """
    cells = [cell for table, column in columns for cell in table.cells(column) if not is_missing(cell)]
    if any(isinstance(cell, list | tuple | Mapping) for cell in cells):
        return None
    labels = {str(cell).strip() for cell in cells}
    if "-" in labels:
        others = labels - {"-"}
        return "-" if others and all(sum(map(str.isalpha, label)) > 1 for label in others) else None
    numbers = {whole_number(label) for label in labels}
    if -1 not in numbers or None in numbers:
        return None
    counted = sorted(number for number in numbers if number is not None and number != -1)
    is_counted = counted == list(range(len(counted))) and len(counted) >= _LEAST_CLASSES
    named = named or any(column in table.class_names for table, column in columns)
    return "-1" if is_counted or named else None


def without_placeholder(table: Table, column: str, placeholder: str | None) -> Table:
    """Return the table without the rows whose label is the placeholder, and with a warning that counts these rows."""
    if placeholder is None:
        return table
    left_out = [
        row for row, cell in zip(table.rows, table.cells(column), strict=True) if _is(cell, placeholder)
    ]
    if not left_out:
        return table
    numbers = {row.number for row in left_out}
    warning = (
        f"{table.source}: {listed_rows(sorted(numbers))} with the label {placeholder}, which stands for no label, "
        f"and {'were' if len(numbers) > 1 else 'was'} left out"
    )
    kept = [row for row in table.rows if row.number not in numbers]
    return replace(table, rows=kept, warnings=(*table.warnings, warning))


def _is(cell: Cell, placeholder: str) -> bool:
    return whole_number(cell) == -1 if placeholder == "-1" else str(cell).strip() == placeholder
