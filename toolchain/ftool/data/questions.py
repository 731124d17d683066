"""What data to answer questions from a context is once it is loaded."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ftool.data.table import Table
from ftool.data.types import DataError


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a context, with the answers that count as right.

    Attributes:
        question: as it stands in the source.
        context: likewise; answers are stretches of it.
        answers: texts; none where the context does not answer the question.
        starts: for each answer its first character: `context[start:start + len(answer)]` is the answer.
        id: what the source calls the question, or its row.
        article: what the context is part of, where the source says.
        row: where it stands: its line, a header being 1; where there are no lines, its position from 1.
    """

    question: str
    context: str
    answers: tuple[str, ...]
    starts: tuple[int, ...]
    id: str
    article: str | None = None
    row: int = 0


@dataclass(frozen=True, slots=True)
class QuestionSplit:
    """Questions in the order of their source."""

    examples: Sequence[Question]
    source: str  # the file, or the data set and split
    table: Table = field(default_factory=Table)  # the rows of the examples

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def inputs(self) -> list[dict[str, str]]:
        """The questions with their contexts, as a model is called with them."""
        return [{"question": example.question, "context": example.context} for example in self.examples]

    def take(self, positions: Sequence[int]) -> "QuestionSplit":
        """The examples at `positions`, in that order."""
        return QuestionSplit(
            [self.examples[position] for position in positions], self.source, self.table.take(positions)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionData:
    """A data set for question answering.

    Attributes:
        unanswerable: whether some training questions have no answer, so that the model learns to say so.
        sha256: of the training split in canonical form.
        notes: what was done to get here (columns found, splits cut off), a line each.
        warnings: what a person should look at (wrong offsets, contexts in two splits), a line each.
    """

    train: QuestionSplit
    validation: QuestionSplit
    test: QuestionSplit
    unanswerable: bool
    sha256: str
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def split(self, name: str) -> QuestionSplit:
        """The split called train, validation or test."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        if name not in splits:
            raise DataError(f"there is no split {name!r}; there are {', '.join(splits)}")
        return splits[name]
