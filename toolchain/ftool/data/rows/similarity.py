"""Rows of texts and how near each other their vectors belong: pairs, triplets or scored pairs."""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ftool.data.cells import (
    column_numbers,
    column_references,
    column_texts,
    is_missing,
    number_of,
    refuse_constant,
)
from ftool.data.columns import ANCHOR, NEGATIVE, POSITIVE, SCORE, find_column, optional_column
from ftool.data.dataset import DataError, Example, Split
from ftool.data.label_policy import ModelFacts
from ftool.data.rows.base import RowReader
from ftool.data.splits import same_text
from ftool.data.table import Table
from ftool.recipe.data_settings import DataSettings

SimilarityKind = Literal["pairs", "triplets", "scored"]

_CONNECTED_AT_MOST = (
    0.3  # share of the rows in one group that can't be divided, for groups to be told by all texts
)


@dataclass(frozen=True, slots=True)
class SimilarPair(Example):
    """Two texts, or three, and how near each other their vectors belong.

    Attributes:
        anchor: a query, or the first of two sentences.
        positive: what the query should find, or the second sentence.
        negative: what the query should not find; triplets only.
        score: how similar the two are, the larger the more, in the data's own scale; scored pairs only.
    """

    anchor: str
    positive: str
    negative: str | None = None
    score: float | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """The two texts or three."""
        return (self.anchor, self.positive, *([] if self.negative is None else [self.negative]))

    @property
    def input(self) -> list[str]:
        """The texts, of which a model makes vectors."""
        return list(self.texts)

    @property
    def key(self) -> str:
        """The anchor."""
        return self.anchor

    @property
    def content(self) -> list[Any]:
        """The texts and the score."""
        return [*self.texts, self.score]


@dataclass(frozen=True, slots=True)
class _Columns:
    anchor: str
    positive: str
    negative: str | None
    score: str | None

    @property
    def kind(self) -> SimilarityKind:
        if self.negative is not None:
            return "triplets"
        return "pairs" if self.score is None else "scored"


class SimilarityReader(RowReader[SimilarPair]):
    """Reads pairs, triplets or scored pairs; `facts` has the `kind`.

    Rows that share a text, whatever its role, stay on one side of a cut; if nearly all are connected so, rows that
    share an anchor do.
    """

    def __init__(
        self, tables: Mapping[str, Table], settings: DataSettings, model: ModelFacts | None = None
    ) -> None:
        super().__init__(tables, settings, model)
        self._groups: Mapping[str, str] = {}
        own = self._columns(self.first)
        for table in tables.values():
            other = self._columns(table)
            if (other.score is None) != (own.score is None):
                raise DataError(
                    f"{table.source}: its rows are {other.kind}, those of {self.first.source} are {own.kind}; "
                    "give both scores, or neither"
                )

    def read(self, table: Table) -> Split[SimilarPair]:
        """Return the examples of a table; a list of positives or negatives in a cell makes an example of each."""
        columns = self._columns(table)
        rows = range(len(table.rows))
        anchors = column_texts(table, columns.anchor, f"text in {columns.anchor!r}")
        positives = column_references(table, columns.positive, "positive")
        negatives: Sequence[Sequence[str | None]] = [(None,) for _ in rows]
        if columns.negative is not None:
            negatives = column_references(table, columns.negative, "negative")
        scores: Sequence[float | None] = [None for _ in rows]
        if columns.score is not None:
            scores = column_numbers(table, columns.score)
        found = [
            (row, SimilarPair(anchors[row], positive, negative, scores[row], row=table.rows[row].number))
            for row in rows
            for positive, negative in itertools.product(positives[row], negatives[row])
        ]
        return Split([one for _, one in found], table.source, table.take([row for row, _ in found]))

    def note(self) -> str:
        """Return which columns were read, as what."""
        columns = self._columns(self.first)
        more = {"negatives": columns.negative, "scores": columns.score}
        named = "".join(f", {what} {name!r}" for what, name in more.items() if name is not None)
        return f"{self.first.source}: anchors from the column {columns.anchor!r}, positives {columns.positive!r}{named}"

    def finish(self, splits: dict[str, Split[SimilarPair]]) -> dict[str, Split[SimilarPair]]:
        """Return the splits as they are; what a cut keeps together is decided by all training examples."""
        if "train" in splits:
            examples = splits["train"].examples
            groups = _connected(examples)
            sizes = Counter(groups[same_text(example.anchor)] for example in examples)
            if max(sizes.values(), default=0) <= max(2, _CONNECTED_AT_MOST * len(examples)):
                self._groups, self.kept_together = groups, "rows that share a text on one side"
            else:
                self.kept_together = "each anchor on one side; other texts may be on several"
        return splits

    def groups(self, examples: Sequence[SimilarPair]) -> list[str]:
        """Return for each example the text that names its group."""
        return [self._groups.get(same_text(example.anchor), example.anchor) for example in examples]

    def facts(self, train: Split[SimilarPair]) -> Mapping[str, Any]:
        """Return `kind`. Raises DataError if all scores are the same."""
        refuse_constant(train.source, scores_of(train))
        return {"kind": kind_of(train)}

    def _columns(self, table: Table) -> _Columns:
        """Return the columns that the settings name, or the usual ones that are there.

        A column of negatives makes triplets; without one a column of scores, if it holds numbers, makes scored pairs.
        """
        settings = self.settings
        anchor = find_column(table, ANCHOR, settings.anchor)
        positive = find_column(table, POSITIVE, settings.positive)
        if anchor == positive:
            raise DataError(
                f"{table.source}: anchor and positive are both the column {anchor!r}; name another"
            )
        negative = optional_column(table, NEGATIVE, settings.negative)
        score = None
        if negative is None or settings.score is not None:
            score = optional_column(table, SCORE, settings.score)
        if negative is not None and score is not None:
            raise DataError(f"{table.source}: rows have negatives or scores, not both; leave data.score out")
        if score is not None and settings.score is None and not _are_numbers(table, score):
            score = None  # a column called label may hold anything
        return _Columns(anchor, positive, negative, score)


def kind_of(split: Split[SimilarPair]) -> SimilarityKind:
    """Return what the examples are, all of one kind: pairs, triplets or scored pairs."""
    first = split.examples[0]
    if first.negative is not None:
        return "triplets"
    return "pairs" if first.score is None else "scored"


def scores_of(split: Split[SimilarPair]) -> list[float]:
    """Return the scores of scored pairs."""
    return [example.score for example in split.examples if example.score is not None]


def _connected(examples: Sequence[SimilarPair]) -> Mapping[str, str]:
    """Return for each text the least of the texts that it is connected with by rows, as `same_text` has them."""
    leader: dict[str, str] = {}

    def find(text: str) -> str:
        root = text
        while leader.setdefault(root, root) != root:
            root = leader[root]
        while leader[text] != root:
            leader[text], text = root, leader[text]
        return root

    for example in examples:
        first, *others = (same_text(text) for text in example.texts)
        for other in others:
            one, two = sorted((find(first), find(other)))
            leader[two] = one
    return {text: find(text) for text in list(leader)}


def _are_numbers(table: Table, column: str) -> bool:
    cells = [cell for cell in table.cells(column) if not is_missing(cell)]
    return bool(cells) and all(number_of(cell) is not None for cell in cells)
