"""Example class and row reader for training embedding models on pairs, triplets or scored pairs of texts."""

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
from ftool.data.dataset import Example, Split
from ftool.data.label_policy import ModelFacts
from ftool.data.rows.base import RowReader
from ftool.data.rows.number_cells import with_decimal_points
from ftool.data.splits import same_text
from ftool.data.table import Table
from ftool.errors import DataError
from ftool.recipe.data_settings import DataSettings

SimilarityKind = Literal["pairs", "triplets", "scored"]

# Rows that share any text are grouped, unless one group would hold more than this share of the rows.
_MAX_GROUP_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class SimilarPair(Example):
    """Two or three texts. A model learns which of their embeddings should be close to each other, and which far apart.

    Attributes:
        anchor: a query, or the first of two sentences.
        positive: a text that the query should find, or the second sentence.
        negative: a text that the query should not find; None except in triplets.
        score: the similarity of the two texts on the data's own scale, larger for more similar texts; None except in
            scored pairs.
    """

    anchor: str
    positive: str
    negative: str | None = None
    score: float | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """The anchor, the positive and, if there is one, the negative."""
        return (self.anchor, self.positive, *([] if self.negative is None else [self.negative]))

    @property
    def input(self) -> list[str]:
        """The two or three texts of the example as a list."""
        return list(self.texts)

    @property
    def named_texts(self) -> Mapping[str, str]:
        """The texts as "anchor", "positive" and, if there is one, "negative"."""
        return dict(zip(("anchor", "positive", "negative"), self.texts, strict=False))

    @property
    def separate_texts(self) -> Sequence[str]:
        """The two or three texts: each has a vector of its own."""
        return self.texts

    @property
    def numbers(self) -> tuple[float, ...]:
        """The similarity of a scored pair; empty for other pairs and triplets."""
        return () if self.score is None else (self.score,)

    @property
    def key(self) -> str:
        """The anchor text."""
        return self.anchor

    @property
    def content(self) -> list[Any]:
        """A list of the two or three texts, followed by the score (None if there is no score)."""
        return [*self.texts, self.score]


@dataclass(frozen=True, slots=True)
class Columns:
    """The names of a table's columns; None for one that it lacks."""

    anchor: str
    positive: str
    negative: str | None
    score: str | None

    @property
    def kind(self) -> SimilarityKind:
        """What the rows are."""
        if self.negative is not None:
            return "triplets"
        return "pairs" if self.score is None else "scored"


class SimilarityReader(RowReader[SimilarPair]):
    """Reads pairs, triplets or scored pairs of texts. The fact `kind` is "pairs", "triplets" or "scored".

    Rows that share any text go to the same split. But if this rule would put more than 30 % of the rows into one group,
    only rows with the same anchor go to the same split.
    """

    def __init__(
        self, tables: Mapping[str, Table], settings: DataSettings, model: ModelFacts | None = None
    ) -> None:
        tables = with_decimal_points(tables, SCORE, settings.score, settings)
        super().__init__(tables, settings, model)
        self._groups: Mapping[str, str] = {}
        own = self.columns(self.first)
        for table in tables.values():
            other = self.columns(table)
            if (other.score is None) != (own.score is None):
                raise DataError(
                    f"{table.source}: its rows are {other.kind}, those of {self.first.source} are {own.kind}; "
                    "give scores in both, or in neither"
                )

    def read(self, table: Table) -> Split[SimilarPair]:
        """Return the examples of a table.

        If a cell holds a list of positives or negatives, each combination of a positive and a negative is one example.
        """
        columns = self.columns(table)
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
        """Return a line that names the columns of anchors and positives and, if any, of negatives or scores."""
        columns = self.columns(self.first)
        more = {"negatives": columns.negative, "scores": columns.score}
        named = "".join(f", {what} {name!r}" for what, name in more.items() if name is not None)
        return f"{self.first.source}: anchors from the column {columns.anchor!r}, positives {columns.positive!r}{named}"

    def finish(self, splits: dict[str, Split[SimilarPair]]) -> dict[str, Split[SimilarPair]]:
        """Return the splits unchanged. Group the training examples that share a text, for the method `groups`."""
        if "train" in splits:
            examples = splits["train"].examples
            groups = _connected(examples)
            sizes = Counter(groups[same_text(example.anchor)] for example in examples)
            if max(sizes.values(), default=0) <= max(2, _MAX_GROUP_SHARE * len(examples)):
                self._groups, self.kept_together = groups, "rows that share a text on one side"
            else:
                self.kept_together = "each anchor on one side; other texts may be on several"
        return splits

    def groups(self, examples: Sequence[SimilarPair]) -> list[str]:
        """Return the group of each example: the normalised first text of the group in sorted order.

        If examples are grouped only by anchor, the group is the anchor.
        """
        return [self._groups.get(same_text(example.anchor), example.anchor) for example in examples]

    def facts(self, train: Split[SimilarPair]) -> Mapping[str, Any]:
        """Return the fact `kind`: "pairs", "triplets" or "scored". Raises DataError if all scores are the same."""
        refuse_constant(train.source, scores_of(train))
        return {"kind": kind_of(train)}

    def columns(self, table: Table) -> Columns:
        """Return the names of the columns: those in the settings, otherwise usual names that the table has.

        The rows of a table with a column of negatives are triplets. Otherwise, the rows of a table with a numeric
        column of scores are scored pairs. Raises DataError if anchors and positives are in the same column, or if the
        settings name a column of scores and the table has negatives.
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
            raise DataError(
                f"{table.source}: rows can have negatives or scores, but not both; leave data.score out"
            )
        if score is not None and settings.score is None and not _are_numbers(table, score):
            score = None  # a column called "label" may hold values that are not scores
        return Columns(anchor, positive, negative, score)


def kind_of(split: Split[SimilarPair]) -> SimilarityKind:
    """Return the kind of the examples in a split: "pairs", "triplets" or "scored". All are of the same kind."""
    first = split.examples[0]
    if first.negative is not None:
        return "triplets"
    return "pairs" if first.score is None else "scored"


def scores_of(split: Split[SimilarPair]) -> list[float]:
    """Return the scores of a split of scored pairs, in order; an empty list for pairs and triplets."""
    return [example.score for example in split.examples if example.score is not None]


def _connected(examples: Sequence[SimilarPair]) -> Mapping[str, str]:
    """Group the texts that are linked by examples. Return a dict from each text to the first text of its group.

    Two texts are linked if they are in the same example, or if a chain of examples that share texts leads from one to
    the other. The first text is the first in sorted order. All texts are normalised by `same_text`. The search is
    union-find.
    """
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
