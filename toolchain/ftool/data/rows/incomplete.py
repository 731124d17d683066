"""Rows that lack a text or a label: refused together in one message, or left out if the user asks for it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from ftool.data.cells import is_missing, listed_rows
from ftool.data.table import Cell, Table
from ftool.errors import DataError

T = TypeVar("T")
SKIP = "--skip-incomplete (data.skip_incomplete = true)"


def complete_rows(
    table: Table, columns: Mapping[str, str], missing: Mapping[str, Callable[[Cell], bool]]
) -> tuple[Table, list[str]]:
    """Return a table without the rows in which a cell is missing, and one warning that names them, if there are any.

    `columns` maps what a cell is, such as "text", to its column; `missing` has the columns in which further cells than
    empty ones count as missing.
    """
    lacking = {
        what: {place for place, cell in enumerate(table.cells(column)) if _lacks(cell, missing.get(column))}
        for what, column in columns.items()
    }
    dropped = set().union(*lacking.values())
    if not dropped:
        return table, []
    kept = [place for place in range(len(table.rows)) if place not in dropped]
    if not kept:
        raise DataError(f"{table.source}: every row lacks a {' or a '.join(columns)}; name the right columns")
    counts = ", ".join(f"{len(found)} without a {what}" for what, found in lacking.items() if found)
    rows = listed_rows([table.numbers[place] for place in sorted(dropped)])
    return table.take(kept), [f"{table.source}: left out as incomplete: {counts} ({rows})"]


def _lacks(cell: Cell, further: Callable[[Cell], bool] | None) -> bool:
    return is_missing(cell) or (further is not None and further(cell))


@dataclass
class Refusals:
    """Collects the problems of a table, so that the user hears of all kinds at once."""

    source: str
    problems: list[str] = field(default_factory=list)

    def of(self, read: Callable[[], T]) -> T | None:
        """Return the result of `read`; None if it raises DataError, which is noted as a problem."""
        try:
            return read()
        except DataError as error:
            self.problems.append(str(error).removeprefix(f"{self.source}: "))
            return None

    def refuse(self) -> None:
        """Raise DataError with all problems in one line; do nothing if there are none."""
        if self.problems:
            hint = f"; or leave such rows out with {SKIP}" if len(self.problems) > 1 else ""
            raise DataError(f"{self.source}: {'; '.join(self.problems)}{hint}")
