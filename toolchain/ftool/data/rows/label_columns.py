"""Join columns of zeros and ones, one for each label, into one column of labels, as in data of toxic comments."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ftool.data.cells import is_missing
from ftool.data.columns import LABEL, TEXT, optional_column, text_columns
from ftool.data.rows.base import first_of
from ftool.data.rows.label_names import whole_number
from ftool.data.table import Cell, Row, Table
from ftool.errors import DataError
from ftool.recipe.data_settings import DataSettings

JOINED = "labels"  # the column of labels that is added


def with_joined_labels(
    tables: Mapping[str, Table], settings: DataSettings
) -> tuple[Mapping[str, Table], tuple[str, ...]]:
    """Return the tables with a column of labels, and the names of the columns that were joined into it.

    The columns are joined if the training table has a column of texts, no column of labels, and at least two columns
    that hold only zeros and ones (or False and True); their names are the labels. A cell is a list of labels, or a
    label if every row has exactly one. Otherwise the tables are returned unchanged, and no names.
    """
    first = first_of(tables)
    if settings.label is not None or optional_column(first, LABEL) is not None:
        return tables, ()
    if settings.text is None and optional_column(first, TEXT) is None:
        return tables, ()
    texts = text_columns(first, settings.text, settings.text_pair)
    names = tuple(
        name for name in first.columns if name not in texts and name and _are_indicators(first.cells(name))
    )
    if len(names) < 2 or any(not set(names) <= set(table.columns) for table in tables.values()):
        return tables, ()
    lists = {split: _labels(table, names) for split, table in tables.items()}
    found = {label for several in lists.values() for labels in several for label in labels}
    unused = ", ".join(repr(name) for name in names if name not in found)
    is_single = all(len(labels) == 1 for several in lists.values() for labels in several)
    unused_warning = (
        [f"{first.source}: no text has the label {unused}; the model won't know it"] if unused else []
    )
    return {
        split: replace(
            table,
            columns=(*table.columns, JOINED),
            rows=[
                Row(row.number, (*row.cells, labels[0] if is_single else labels))
                for row, labels in zip(table.rows, lists[split], strict=True)
            ],
            warnings=(*table.warnings, *unused_warning) if table is first else table.warnings,
        )
        for split, table in tables.items()
    }, names


def _are_indicators(cells: Sequence[Cell]) -> bool:
    return all(_indicator(cell) is not None for cell in cells)


def _indicator(cell: Cell) -> bool | None:
    """Return whether a cell says that a text has a label; None if the cell is neither zero nor one, False nor True."""
    if isinstance(cell, bool):
        return cell
    if isinstance(cell, str) and cell.strip().lower() in ("false", "true"):
        return cell.strip().lower() == "true"
    number = None if is_missing(cell) else whole_number(cell)
    return bool(number) if number in (0, 1) else None


def _labels(table: Table, names: Sequence[str]) -> list[list[str]]:
    places = [table.columns.index(name) for name in names]
    labels = []
    for row in table.rows:
        indicators = [_indicator(row.cells[place]) for place in places]
        if None in indicators:
            name = names[indicators.index(None)]
            raise DataError(
                f"{table.source}: row {row.number} has {row.cells[table.columns.index(name)]!r} in the column "
                f"{name!r}, which is neither 0 nor 1; correct or remove it"
            )
        labels.append([name for name, has in zip(names, indicators, strict=True) if has])
    return labels
