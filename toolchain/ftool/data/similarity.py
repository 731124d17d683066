"""What data to train and judge embeddings by is once it is loaded."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from ftool.data.table import Table
from ftool.data.types import DataError

SimilarityKind = Literal["pairs", "triplets", "scored"]


@dataclass(frozen=True, slots=True)
class SimilarityExample:
    """Two texts, or three, and how near each other their vectors belong.

    Attributes:
        anchor: what is looked for, or the first of two sentences.
        positive: what should be found by it, or the second sentence.
        negative: what should not be found; triplets only.
        score: how alike the two are, the larger the more, in the data's own scale; scored pairs only.
        row: where it stands: its line, a header being 1; where there are no lines, its position from 1.
    """

    anchor: str
    positive: str
    negative: str | None = None
    score: float | None = None
    row: int = 0

    @property
    def texts(self) -> tuple[str, ...]:
        """The two texts or three."""
        return (self.anchor, self.positive, *([] if self.negative is None else [self.negative]))


@dataclass(frozen=True, slots=True)
class SimilaritySplit:
    """Examples of one kind, in the order of their source."""

    examples: Sequence[SimilarityExample]
    source: str  # the file, or the data set and split
    kind: SimilarityKind
    table: Table = field(default_factory=Table)  # the rows of the examples, where their lines tell them apart

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def scores(self) -> list[float]:
        """The scores of scored pairs."""
        return [example.score for example in self.examples if example.score is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimilarityData:
    """A data set for feature extraction.

    Attributes:
        sha256: of the training split in canonical form.
        notes: what was done to get here (columns found, splits cut off), a line each.
        warnings: what a person should look at, a line each.
    """

    train: SimilaritySplit
    validation: SimilaritySplit
    test: SimilaritySplit
    sha256: str
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def kind(self) -> SimilarityKind:
        """What all the examples are."""
        return self.train.kind

    def split(self, name: str) -> SimilaritySplit:
        """The split called train, validation or test."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        if name not in splits:
            raise DataError(f"there is no split {name!r}; there are {', '.join(splits)}")
        return splits[name]
