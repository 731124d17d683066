"""Tables: rows of named cells, as every source holds them before examples are read from them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Cell = Any  # a string from CSV and TSV; any value that JSON, Parquet and the hub hold


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Attributes:
        number: the line at which it starts, a header being line 1; if the source has no lines, its position from 1.
        cells: in the order of the table's columns.
    """

    number: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under named columns.

    Attributes:
        source: the file, or the data set and split, for messages.
        columns: the names of the cells of a row.
        rows: in the order of the source.
        class_names: the names behind a column's numbers, if the source itself has them.
    """

    source: str = ""
    columns: tuple[str, ...] = ()
    rows: list[Row] = field(default_factory=list)
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def numbers(self) -> list[int]:
        """The numbers of the rows, in order."""
        return [row.number for row in self.rows]

    def cells(self, column: str) -> list[Cell]:
        """Return the cells of a column, which must exist, in the order of the rows."""
        position = self.columns.index(column)
        return [row.cells[position] for row in self.rows]

    def take(self, positions: Iterable[int]) -> "Table":
        """Return the rows at `positions`, in that order; a table without columns has no rows to take."""
        return replace(self, rows=[self.rows[position] for position in positions]) if self.columns else self
