"""Sources with their targets, for summarization and translation."""

from collections.abc import Sequence
from dataclasses import replace

from ftool.data.columns import column_of
from ftool.data.examples import checked_texts
from ftool.data.generation import Example
from ftool.data.rows.pair_columns import language_pair, pair_columns, spread_translations
from ftool.data.table import Cell, Table
from ftool.data.types import DataError
from ftool.recipe.data_settings import DataSettings


def read_pairs(table: Table, settings: DataSettings) -> list[Example]:
    """An example a row: a source, and one target or several.

    A source that is a list of sentences is joined by spaces; a list of targets is several references to one source, of
    which training takes the first. Raises DataError naming rows and column for what is no usable text.
    """
    table = spread_translations(table)
    source, target = pair_columns(table, settings)
    sources = column_texts(table, source, "source")
    targets = column_references(table, target, "target")
    return [
        Example(text, references, row=row.number)
        for text, references, row in zip(sources, targets, table.rows, strict=True)
    ]


def in_one_direction(train: Table, settings: DataSettings) -> DataSettings:
    """The settings with the languages that the training table's columns are called by, where they name none.

    Every split is then read the same way, whatever the order of its columns.
    """
    named = (settings.source, settings.target, settings.source_language, settings.target_language)
    found = language_pair(spread_translations(train).columns, settings)
    if found is None or any(name is not None for name in named):
        return settings
    return replace(settings, source_language=found[0], target_language=found[1])


def pairs_note(table: Table, settings: DataSettings) -> str:
    """Which columns sources and targets are taken from."""
    source, target = pair_columns(spread_translations(table), settings)
    return f"{table.source}: sources from the column {source!r}, targets from {target!r}"


def column_texts(table: Table, column: str, what: str) -> list[str]:
    """The texts of a column, lists of sentences joined by spaces; `what` calls them in errors."""
    numbers = [row.number for row in table.rows]
    cells = [_joined(cell) for cell in column_of(table, column)]
    return checked_texts(table.source, numbers, cells, f"{what} (column {column!r})")


def column_references(table: Table, column: str, what: str) -> list[tuple[str, ...]]:
    """One text or several of each cell of a column. Raises DataError for a list without any."""
    lists = [_listed(cell) for cell in column_of(table, column)]
    name = f"{what} (column {column!r})"
    numbers = [row.number for row, texts in zip(table.rows, lists, strict=True) for _ in texts]
    checked = iter(checked_texts(table.source, numbers, [text for texts in lists for text in texts], name))
    references = [tuple(next(checked) for _ in texts) for texts in lists]
    for row, texts in zip(table.rows, references, strict=True):
        if not texts:
            raise DataError(f"{table.source}: row {row.number} without a {name}; correct or remove it")
    return references


def _joined(cell: Cell) -> Cell:
    if isinstance(cell, list | tuple) and cell and all(isinstance(part, str) for part in cell):
        return " ".join(part.strip() for part in cell)
    return cell


def _listed(cell: Cell) -> Sequence[Cell]:
    return cell if isinstance(cell, list | tuple) else (cell,)
