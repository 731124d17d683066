"""Texts with the names of their labels: what a table holds once every cell of it is checked."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ftool.data.table import Cell, Table
from ftool.data.types import DataError


@dataclass(frozen=True, slots=True)
class Examples:
    """Checked texts and the names of their labels, before the labels have numbers.

    Attributes:
        labels: the names of each text's labels; one a text, or any number where the data is multi-label.
        table: the rows that the texts come from, one each, by whose cells metrics can be sliced.
        pairs: the second text of each example, where examples have two.
        scores: the number that each text should get, where the answer is one; there are no labels then.
    """

    source: str
    texts: list[str]
    labels: list[tuple[str, ...]]
    rows: list[int]
    table: Table = field(default_factory=Table)
    pairs: list[str] | None = None
    scores: list[float] | None = None

    @property
    def keys(self) -> list[str]:
        """What tells examples apart: the text, or both."""
        if self.pairs is None:
            return self.texts
        return [f"{text}\n{pair}" for text, pair in zip(self.texts, self.pairs, strict=True)]

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, positions: Sequence[int]) -> "Examples":
        """The examples at `positions`, in that order."""
        return Examples(
            self.source,
            [self.texts[position] for position in positions],
            [self.labels[position] for position in positions],
            [self.rows[position] for position in positions],
            self.table.take(positions),
            None if self.pairs is None else [self.pairs[position] for position in positions],
            None if self.scores is None else [self.scores[position] for position in positions],
        )


def checked_texts(source: str, rows: Sequence[int], cells: Sequence[Cell], name: str = "text") -> list[str]:
    """The cells as texts, called `name` in errors.

    Raises DataError naming the rows of those that are no text, or an unusable one.
    """
    for what, is_bad in _PROBLEMS:
        bad = [row for row, cell in zip(rows, cells, strict=True) if is_bad(cell)]
        if bad:
            raise DataError(
                f"{source}: {listed_rows(bad)} {what.format(name)}; correct or remove {'them' if bad[1:] else 'it'}"
            )
    return [str(cell) for cell in cells]


def problem_of(cell: Cell, name: str = "text") -> str | None:
    """What is wrong with a cell that should be a text, called `name`; None where nothing is."""
    return next((what.format(name) for what, is_bad in _PROBLEMS if is_bad(cell)), None)


def listed_rows(rows: Sequence[int]) -> str:
    """`row 5`, or `rows 5, 7 and 9`, the first few by number."""
    if len(rows) == 1:
        return f"row {rows[0]}"
    shown, more = rows[:5], len(rows) - 5
    if more > 0:
        return f"rows {', '.join(map(str, shown))} and {more} more"
    return f"rows {', '.join(map(str, shown[:-1]))} and {shown[-1]}"


def is_missing(cell: Cell) -> bool:
    """Whether a cell holds nothing, or nothing but spaces."""
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _is_unencodable(cell: str) -> bool:
    return not cell.isascii() and any("\ud800" <= character <= "\udfff" for character in cell)


# In this order, so that each may rely on those before it.
_PROBLEMS = (
    ("without a {}", is_missing),
    ("with a {} that is no string", lambda cell: not isinstance(cell, str)),
    ("with a NUL byte in the {}", lambda cell: "\0" in cell),
    ("with half a surrogate pair in the {}", _is_unencodable),
)
