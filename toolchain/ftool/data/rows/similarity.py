"""Rows of a table as pairs, triplets or scored pairs: which columns those are, and what can't be used."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from ftool.data.columns import column_of, find_column
from ftool.data.examples import checked_texts, is_missing
from ftool.data.rows.numbers import number_of, numbers_of
from ftool.data.rows.pairs import column_references
from ftool.data.similarity import SimilarityExample, SimilarityKind
from ftool.data.table import Table
from ftool.data.types import DataError
from ftool.recipe.data_settings import DataSettings

ANCHOR_COLUMNS = (
    "anchor", "query", "question", "sentence1", "sentence_1", "sentence_a", "text1", "text_1", "text_a", "premise",
    "query_text", "source", "title",
)  # fmt: skip
POSITIVE_COLUMNS = (
    "positive", "pos", "positives", "positive_text", "passage", "answer", "context", "document", "response",
    "sentence2", "sentence_2", "sentence_b", "text2", "text_2", "text_b", "hypothesis", "target", "text", "body",
)  # fmt: skip
NEGATIVE_COLUMNS = ("negative", "neg", "negatives", "negative_text", "hard_negative", "hard_negatives")
SCORE_COLUMNS = ("score", "similarity", "similarity_score", "relatedness_score", "gold_score", "label")


@dataclass(frozen=True, slots=True)
class SimilarityColumns:
    """The names of the columns that rows are read from."""

    anchor: str
    positive: str
    negative: str | None
    score: str | None

    @property
    def kind(self) -> SimilarityKind:
        """What a row is."""
        if self.negative is not None:
            return "triplets"
        return "pairs" if self.score is None else "scored"


def similarity_columns(table: Table, settings: DataSettings) -> SimilarityColumns:
    """The columns that the settings name, or the usual ones that are there.

    A column of negatives makes triplets; without one a column of scores, if it holds numbers, makes scored pairs.
    Raises DataError for a column that is not there.
    """
    anchor = find_column(
        table, settings.anchor, ANCHOR_COLUMNS, "anchors (queries)", "--set data.anchor=NAME"
    )
    positive = find_column(
        table, settings.positive, POSITIVE_COLUMNS, "positives (passages)", "--set data.positive=NAME"
    )
    if anchor == positive:
        raise DataError(
            f"{table.source}: anchor and positive are both the column {table.columns[anchor]!r}; name another"
        )
    negative = _usual(table, settings.negative, NEGATIVE_COLUMNS, "negatives", "--set data.negative=NAME")
    score = None
    if negative is None or settings.score is not None:
        score = _usual(table, settings.score, SCORE_COLUMNS, "scores", "--set data.score=NAME")
    if negative is not None and score is not None:
        raise DataError(f"{table.source}: rows have negatives or scores, not both; leave data.score out")
    if score is not None and settings.score is None and not _are_numbers(table, score):
        score = None  # a column called label may hold anything
    return SimilarityColumns(table.columns[anchor], table.columns[positive], negative, score)


def read_similarity(table: Table, columns: SimilarityColumns) -> list[SimilarityExample]:
    """The examples of a table, in its order.

    A cell that is a list of positives or negatives makes an example of each. Raises DataError naming the rows for what
    is no usable text or score.
    """
    numbers = [row.number for row in table.rows]
    anchors = checked_texts(
        table.source, numbers, column_of(table, columns.anchor), f"text in {columns.anchor!r}"
    )
    positives = column_references(table, columns.positive, "positive")
    negatives: Sequence[Sequence[str | None]] = (
        [(None,)] * len(numbers)
        if columns.negative is None
        else column_references(table, columns.negative, "negative")
    )
    scores: Sequence[float | None] = (
        [None] * len(numbers) if columns.score is None else numbers_of(table, columns.score)
    )
    return [
        SimilarityExample(anchor, positive, negative, score, number)
        for anchor, near, far, score, number in zip(
            anchors, positives, negatives, scores, numbers, strict=True
        )
        for positive, negative in itertools.product(near, far)
    ]


def columns_note(table: Table, columns: SimilarityColumns) -> str:
    """Which columns were read, as what."""
    more = {"negatives": columns.negative, "scores": columns.score}
    named = "".join(f", {what} {name!r}" for what, name in more.items() if name is not None)
    return (
        f"{table.source}: anchors from the column {columns.anchor!r}, positives {columns.positive!r}{named}"
    )


def _usual(table: Table, name: str | None, usual: Sequence[str], content: str, flag: str) -> str | None:
    lowered = [column.lower() for column in table.columns]
    if name is None and not any(candidate in lowered for candidate in usual):
        return None
    return table.columns[find_column(table, name, tuple(usual), content, flag)]


def _are_numbers(table: Table, column: str) -> bool:
    cells = [cell for cell in column_of(table, column) if not is_missing(cell)]
    return bool(cells) and all(number_of(cell) is not None for cell in cells)
