"""Tables: rows of named cells, the form into which every data source is read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ftool.errors import DataError

MOST_COLUMNS: Final = 16_384  # of a table, as in Excel

Cell = Any  # a string from CSV and TSV; any value that JSON, Parquet and the hub hold


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table.

    Attributes:
        number: the line where the row starts (a header is line 1); for a source without lines, the row's position,
            counted from 1.
        cells: the cell values, in the order of the table's columns.
    """

    number: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows with named columns. Raises DataError for more than `MOST_COLUMNS` columns.

    Attributes:
        source: the name of the file, or of the data set and split, as shown in messages.
        columns: the column names, in the order of a row's cells.
        rows: the rows, in the order of the source.
        class_names: a dict from each column of class numbers to the class names in the order of their numbers; empty if
            the source stores no class names.
        warnings: one line for each problem of the source that a person should check.
        delimiter: the character between the cells of a CSV file; empty for other sources.
        notes: one line for each decision that was made about the source, such as which column names the splits.
    """

    source: str = ""
    columns: tuple[str, ...] = ()
    rows: list[Row] = field(default_factory=list)
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    delimiter: str = ""

    def __post_init__(self) -> None:
        check_width(self.source, len(self.columns))

    @property
    def numbers(self) -> list[int]:
        """The row numbers, in order."""
        return [row.number for row in self.rows]

    def cells(self, column: str) -> list[Cell]:
        """Return the cells of a column, in the order of the rows. Raises ValueError if there is no such column."""
        position = self.columns.index(column)
        return [row.cells[position] for row in self.rows]

    def take(self, positions: Iterable[int]) -> "Table":
        """Return a table of the rows at `positions` (counted from 0), in the order of `positions`.

        A table without columns is returned unchanged.
        """
        return replace(self, rows=[self.rows[position] for position in positions]) if self.columns else self


def check_width(source: str, columns: int) -> None:
    """Raise DataError, which names `source`, for more than `MOST_COLUMNS` columns."""
    if columns > MOST_COLUMNS:
        raise DataError(
            f"{source}: has {columns:,} columns; at most {MOST_COLUMNS:,} are read; look for a wrong separator or for "
            "values in place of names, or leave columns out"
        )
