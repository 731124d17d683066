"""Leave out splits without answers, such as the test data of benchmarks and competitions, whose labels are secret."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ftool.data.cells import is_missing
from ftool.data.columns import named_column
from ftool.data.rows.base import RowReader, first_of
from ftool.data.rows.label_names import whole_number
from ftool.data.table import Cell, Table
from ftool.errors import DataError
from ftool.recipe.data_settings import DataSettings


def without_unlabelled(
    kind: type[RowReader[Any]], tables: Mapping[str, Table], settings: DataSettings
) -> dict[str, Table]:
    """Return the tables of splits without those that have no answers; a warning names the splits that are left out.

    The training table, and tables that the settings name, are kept. A split has no answers if it lacks the columns of
    answers of a reader of class `kind`, or if all their cells are empty or -1, which is no class of the training table.
    """
    first = first_of(tables)
    asked_for = {split for split in ("validation", "test") if getattr(settings, split) is not None}
    columns = _answer_columns(kind, first, settings)
    if not columns:
        return dict(tables)
    is_class = any(_is_minus_one(cell) for name in columns for cell in first.cells(name))
    left_out = {
        split: why
        for split, table in tables.items()
        if table is not first
        and split not in asked_for
        and (
            why := _lack(
                kind, table, _own_columns(kind, table, settings, columns), columns, is_class=is_class
            )
        )
    }
    if not left_out:
        return dict(tables)
    warnings = [
        warning
        for split, why in left_out.items()
        for warning in (*tables[split].warnings, f"{tables[split].source}: {why}, and is left out")
    ]
    kept = {split: table for split, table in tables.items() if split not in left_out}
    return {
        split: replace(table, warnings=(*table.warnings, *warnings)) if table is first else table
        for split, table in kept.items()
    }


def refuse_unlabelled(
    kind: type[RowReader[Any]], table: Table, settings: DataSettings, known: Sequence[str]
) -> None:
    """Raise DataError if a table has the columns of answers, but no answer. `known` are the labels of the model."""
    columns = _answer_columns(kind, table, settings)
    if columns and (why := _lack(kind, table, columns, columns, is_class="-1" in known)):
        raise DataError(
            f"{table.source}: {why}, so nothing can be measured; name other data, or another split"
        )


def _lack(
    kind: type[RowReader[Any]], table: Table, own: Sequence[str], columns: Sequence[str], *, is_class: bool
) -> str | None:
    """Return what a table lacks: its columns of answers, or the answers in them; None if it has answers."""
    if not own:
        return f"has no column {', '.join(map(repr, columns[:5]))}"
    if kind.empty_is_answer:
        return None
    cells = [cell for name in own for cell in table.cells(name)]
    if not cells or not all(is_missing(cell) or (not is_class and _is_minus_one(cell)) for cell in cells):
        return None
    return f"has no answer in the column {', '.join(map(repr, own[:5]))}, only empty cells or -1"


def _is_minus_one(cell: Cell) -> bool:
    if isinstance(cell, list | tuple):
        return bool(cell) and all(_is_minus_one(part) for part in cell)
    return whole_number(cell) == -1


def _own_columns(
    kind: type[RowReader[Any]], table: Table, settings: DataSettings, columns: Sequence[str]
) -> tuple[str, ...]:
    """Return the columns of answers of a table: those of the training table, or others that are called so."""
    own = []
    for name in columns:
        try:
            own.append(named_column(table, name))
        except DataError:
            continue
    return tuple(own) or _answer_columns(kind, table, settings)


def _answer_columns(kind: type[RowReader[Any]], table: Table, settings: DataSettings) -> tuple[str, ...]:
    try:
        return kind.answer_columns(table, settings)
    except DataError:  # a column that the settings name is missing
        return ()
