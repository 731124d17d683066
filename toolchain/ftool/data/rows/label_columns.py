"""Join columns of zeros and ones, one for each label, or of regression targets, into one column of labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ftool.data.cells import column_numbers, is_missing, number_of
from ftool.data.columns import LABEL, TEXT, listed_columns, named_column, optional_column, text_columns
from ftool.data.label_policy import ModelFacts
from ftool.data.rows.base import first_of
from ftool.data.rows.label_names import whole_number
from ftool.data.rows.number_cells import are_scores
from ftool.data.table import Cell, Row, Table
from ftool.data.two_columns import INDEX
from ftool.errors import DataError
from ftool.recipe.data_settings import DataSettings

JOINED = "labels (joined)"  # the column of labels that is added


@dataclass(frozen=True)
class JoinedColumns:
    """Tables with a column of labels that was made from several columns.

    Attributes:
        tables: the tables by split.
        settings: the settings, which name the new column.
        names: the names of the columns that were joined; empty if none were.
    """

    tables: Mapping[str, Table]
    settings: DataSettings
    names: tuple[str, ...] = ()


def join_label_columns(
    tables: Mapping[str, Table], settings: DataSettings, model: ModelFacts | None = None
) -> JoinedColumns:
    """Return the tables with one column of labels or of regression targets.

    Columns are joined if the settings name several as the label column, separated by commas, or if the outputs of the
    `model`, which gives several numbers, are called like columns. Otherwise they are joined if the training table has a
    column of texts and no column of labels, and if at least two columns hold only zeros and ones (or False and True),
    or all other columns, except those of ids, hold numbers that are not all whole.

    Columns of zeros and ones become a list of labels, or a label if every row has exactly one. Other columns become a
    list of numbers. If no columns are joined, tables and settings are returned unchanged.

    Raises DataError, which names the column and the rows, for a cell that holds something else.
    """
    first = first_of(tables)
    names = _named_columns(first, settings, model)
    if names is None:
        names = _found_columns(first, settings)
        _refuse_other_names(first, names, model)
    if len(names) < 2 or any(not set(names) <= set(table.columns) for table in tables.values()):
        return JoinedColumns(tables, settings)
    are_labels = settings.regression is not True and all(_are_indicators(first.cells(name)) for name in names)
    read = _labels if are_labels else _numbers
    cells: dict[str, list[Cell]] = {split: read(table, names) for split, table in tables.items()}
    warnings = _unused(first, names, cells) if are_labels else []
    if are_labels and all(len(labels) == 1 for several in cells.values() for labels in several):
        cells = {split: [labels[0] for labels in several] for split, several in cells.items()}
    joined = {
        split: replace(
            table,
            columns=(*table.columns, JOINED),
            rows=[
                Row(row.number, (*row.cells, cell))
                for row, cell in zip(table.rows, cells[split], strict=True)
            ],
            warnings=(*table.warnings, *warnings) if table is first else table.warnings,
        )
        for split, table in tables.items()
    }
    return JoinedColumns(joined, replace(settings, label=JOINED, regression=not are_labels), names)


def label_columns(table: Table, settings: DataSettings) -> tuple[str, ...]:
    """Return the columns that `join_label_columns` joins without a model; empty if there are none."""
    names = _named_columns(table, settings, None)
    return _found_columns(table, settings) if names is None else names


def _named_columns(table: Table, settings: DataSettings, model: ModelFacts | None) -> tuple[str, ...] | None:
    """Return the columns that the settings or the outputs of the model name; None if they name none."""
    known = tuple(model.labels) if model is not None and model.regression else ()
    given = _columns(table, known) if settings.label is None else None
    if settings.label is not None and not _columns(table, (settings.label,)):
        given = _columns(table, [name.strip() for name in settings.label.split(",")])
    if given is None:
        return None if settings.label is None else ()
    order = _columns(table, known)
    return order if order is not None and set(order) == set(given) else given


def _columns(table: Table, names: Sequence[str]) -> tuple[str, ...] | None:
    """Return the columns called `names`; None if `names` is empty, or if the table lacks one of these columns."""
    try:
        return tuple(named_column(table, name) for name in names) or None
    except DataError:
        return None


def _found_columns(table: Table, settings: DataSettings) -> tuple[str, ...]:
    """Return the columns that hold labels or numbers, by their cells; empty if the table has a column of labels."""
    if optional_column(table, LABEL) is not None:
        return ()
    if settings.text is None and optional_column(table, TEXT) is None:
        return ()
    texts = text_columns(table, settings.text, settings.text_pair)
    others = [name for name in table.columns if name not in texts and name]
    indicators = tuple(name for name in others if _are_indicators(table.cells(name)))
    if len(indicators) > 1 and not settings.regression:
        return indicators
    others = [name for name in others if not INDEX.fullmatch(name) and not _are_ids(name, table.cells(name))]
    numbers = all(
        are_scores(table.cells(name)) or (settings.regression and _are_numbers(table.cells(name)))
        for name in others
    )
    return tuple(others) if numbers and settings.regression is not False and not settings.multi_label else ()


def _numbers(table: Table, names: Sequence[str]) -> list[list[float]]:
    columns = [column_numbers(table, name) for name in names]
    return [list(row) for row in zip(*columns, strict=True)]


def _refuse_other_names(table: Table, names: Sequence[str], model: ModelFacts | None) -> None:
    """Raise DataError if columns of numbers were found, but the outputs of the model have names of their own."""
    if (
        model is None
        or not model.regression
        or not names
        or model.labels == tuple(map(str, range(len(names))))
    ):
        return
    if model.labels:
        raise DataError(
            f"{table.source}: the model gives the numbers {', '.join(model.labels)}, but the columns are "
            f"{listed_columns(table)}: name those of the numbers, in this order, with --label-column NAME,NAME,…"
        )


def _unused(table: Table, names: Sequence[str], labels: Mapping[str, Sequence[Sequence[str]]]) -> list[str]:
    """Return a list with one warning if no text has some of the labels `names`; else no warning."""
    found = {label for several in labels.values() for one in several for label in one}
    unused = ", ".join(repr(name) for name in names if name not in found)
    return [f"{table.source}: no text has the label {unused}; the model won't know it"] if unused else []


def _are_indicators(cells: Sequence[Cell]) -> bool:
    return all(_indicator(cell) is not None for cell in cells)


def _are_ids(name: str, cells: Sequence[Cell]) -> bool:
    """Whether a column such as `essay_id` tells the rows apart."""
    return name.lower().endswith("id") and len({str(cell) for cell in cells}) == len(cells)


def _are_numbers(cells: Sequence[Cell]) -> bool:
    return all(number_of(cell) is not None for cell in cells)


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
