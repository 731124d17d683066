"""Example class and row reader for questions about contexts, with answers and the start offsets of the answers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ftool.data.cells import BadRows, column_texts, is_missing
from ftool.data.columns import (
    ANSWER_START,
    ANSWERS,
    ARTICLE,
    CONTEXT,
    QUESTION,
    QUESTION_ID,
    Column,
    find_column,
    optional_column,
)
from ftool.data.dataset import Example, Split
from ftool.data.rows.answer_cells import BadAnswerError, read_answers
from ftool.data.rows.answer_offsets import OffsetReport, locate_answers
from ftool.data.rows.base import RowReader
from ftool.data.splits import same_text
from ftool.data.table import Cell, Table
from ftool.errors import DataError

# With at least this many articles, splits keep whole articles together; with fewer, a split would hold one or two.
_MANY_ARTICLES = 20


@dataclass(frozen=True, slots=True)
class Question(Example):
    """A question about a context, with the answers that count as correct.

    Attributes:
        question: the question, exactly as in the source.
        context: the context, exactly as in the source; each answer is a substring of the context.
        answers: the answer texts; empty if the context does not answer the question.
        starts: the start offset of each answer in characters: `context[start:start + len(answer)]` is the answer.
        id: the question's id in the source; if the source has no id, the question's row number as a string.
        article: the title of the article that the context is part of; None if the source has no titles.
    """

    question: str
    context: str
    answers: tuple[str, ...]
    starts: tuple[int, ...]
    id: str
    article: str | None = None

    @property
    def input(self) -> dict[str, str]:
        """A dict with the keys "question" and "context"."""
        return {"question": self.question, "context": self.context}

    @property
    def key(self) -> str:
        """The context, so that questions about the same context always go to the same split."""
        return self.context

    @property
    def content(self) -> list[Any]:
        """A list of the question, the context, the list of answers and the list of their start offsets."""
        return [self.question, self.context, list(self.answers), list(self.starts)]


class QuestionReader(RowReader[Question]):
    """Reads questions about contexts. The fact `unanswerable` is whether some training questions have no answer.

    A wrong answer offset is corrected, or the answer is dropped; warnings say how often. From questions without an
    answer, a model learns to abstain.
    """

    answers = ((ANSWERS, "answers"),)
    empty_is_answer = True
    kept_together = "each context on one side"

    def read(self, table: Table) -> Split[Question]:
        """Return the questions of a table. A question is left out if none of its answers can be located in its context.

        Questions without answers are kept. Raises DataError if a cell is not a text or does not hold answers, and if no
        question is left.
        """
        report = OffsetReport()
        questions = column_texts(table, find_column(table, QUESTION, self.settings.question), "question")
        contexts = column_texts(table, find_column(table, CONTEXT, self.settings.context), "context")
        answers = table.cells(find_column(table, ANSWERS, self.settings.answers))
        starts = _cells(table, ANSWER_START, self.settings.answer_start)
        ids, articles = _cells(table, QUESTION_ID), _cells(table, ARTICLE)
        examples, kept, bad = [], [], BadRows()
        for position, row in enumerate(table.numbers):
            try:
                given = read_answers(answers[position], starts[position])
            except BadAnswerError as error:
                bad.add(row, DataError(f"{table.source}: row {row} {error}; correct or remove it"))
                continue
            placed = locate_answers(given, contexts[position], f"row {row}", report)
            if placed is None:
                continue
            kept.append(position)
            examples.append(
                Question(
                    questions[position],
                    contexts[position],
                    answers=tuple(text for text, _ in placed),
                    starts=tuple(start for _, start in placed),
                    id=str(row) if is_missing(ids[position]) else str(ids[position]),
                    article=None if is_missing(articles[position]) else str(articles[position]),
                    row=row,
                )
            )
        bad.refuse()
        self.warnings += [*report.warnings(table.source), *_repeated_ids(table.source, ids)]
        if not examples:
            raise DataError(f"{table.source}: no question is left, as no answer occurs in its context")
        return Split(examples, table.source, table.take(kept))

    def input_columns(self) -> Mapping[str, str]:
        """Return the columns of the fields "question" and "context"."""
        return {
            "question": find_column(self.first, QUESTION, self.settings.question),
            "context": find_column(self.first, CONTEXT, self.settings.context),
        }

    def note(self) -> str:
        """Return a line that names the column of questions and the column of contexts."""
        question = find_column(self.first, QUESTION, self.settings.question)
        context = find_column(self.first, CONTEXT, self.settings.context)
        return f"{self.first.source}: questions from the column {question!r}, contexts from {context!r}"

    def groups(self, examples: Sequence[Question]) -> list[str]:
        """Return each question's group, which must not be divided between splits.

        The group is the question's article if the examples have at least 20 articles, else the question's context. If a
        context occurs in two articles, its questions belong to the first article.
        """
        if len({example.article for example in examples} - {None}) < _MANY_ARTICLES:
            return [example.context for example in examples]
        groups: dict[str, str] = {}
        return [
            groups.setdefault(same_text(example.context), example.article or example.context)
            for example in examples
        ]

    def facts(self, train: Split[Question]) -> Mapping[str, Any]:
        """Return the fact `unanswerable`: whether some training questions have no answer."""
        return {"unanswerable": any(not example.answers for example in train.examples)}


def _repeated_ids(source: str, ids: Sequence[Cell]) -> list[str]:
    """Return a list with one warning if several questions have the same id; otherwise an empty list."""
    counts = Counter(str(cell) for cell in ids if not is_missing(cell))
    repeated = [name for name, count in counts.items() if count > 1]
    if not repeated:
        return []
    ids_are = "id is" if len(repeated) == 1 else "ids are"
    return [
        f"{source}: {len(repeated)} {ids_are} shared by several questions (first: {repeated[0][:60]!r}); "
        "give each question its own id"
    ]


def _cells(table: Table, column: Column, name: str | None = None) -> list[Cell]:
    """Return the cells of an optional column; None for each row if the table has no such column."""
    found = optional_column(table, column, name)
    return [None] * len(table.rows) if found is None else table.cells(found)
