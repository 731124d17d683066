"""Rows of named cells: what every source is read into before texts and labels are taken from it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

Cell = Any  # a string from CSV and TSV; whatever JSON, Parquet and the hub hold


@dataclass(frozen=True, slots=True)
class Row:
    """One row: where it stands in its source, and its cells in the order of the table's columns."""

    number: (
        int  # the line at which it starts, a header being 1; where there are no lines, its position from 1
    )
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under named columns.

    Attributes:
        source: the file, or the data set and split, for messages.
        columns: the names of the cells of a row.
        rows: in the order of the source.
        class_names: the names behind a column's numbers, where the source itself says so.
    """

    source: str = ""
    columns: tuple[str, ...] = ()
    rows: list[Row] = field(default_factory=list)
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def take(self, positions: Iterable[int]) -> "Table":
        """The rows at `positions`, in that order; a table without columns has none to take."""
        return replace(self, rows=[self.rows[position] for position in positions]) if self.columns else self


def rows_numbered(table: Table, numbers: Sequence[int]) -> Table:
    """The rows of these numbers, in that order; of files read as one, whose lines have the same numbers, none."""
    places = {row.number: place for place, row in enumerate(table.rows)}
    if len(places) < len(table.rows) or any(number not in places for number in numbers):
        return Table(table.source)
    return table.take([places[number] for number in numbers])
