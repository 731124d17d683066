"""What texts with their entities are once they are loaded."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ftool.data.table import Table
from ftool.data.types import DataError


@dataclass(frozen=True, slots=True)
class TaggedText:
    """A text, its words and the tag of each.

    Attributes:
        text: as it stands in the source; where that has words alone, they are joined by one space each.
        words: for each word its first character and the one past its last, in order.
        tags: one a word, in IOB2: "O", "B-person", "I-person".
        row: where it stands: its line, a header being 1; where there are no lines, its position from 1.
    """

    text: str
    words: tuple[tuple[int, int], ...]
    tags: tuple[str, ...]
    row: int = 0

    @property
    def tokens(self) -> list[str]:
        """The words as strings."""
        return [self.text[start:end] for start, end in self.words]


@dataclass(frozen=True, slots=True)
class TaggedSplit:
    """Tagged texts in the order of their source."""

    examples: Sequence[TaggedText]
    source: str  # the file, or the data set and split
    table: Table = field(default_factory=Table)  # the rows of the examples

    def __len__(self) -> int:
        return len(self.examples)

    def take(self, positions: Sequence[int]) -> "TaggedSplit":
        """The examples at `positions`, in that order."""
        return TaggedSplit(
            [self.examples[position] for position in positions], self.source, self.table.take(positions)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggedData:
    """A data set for token classification.

    Attributes:
        label_names: the tags that a model learns: "O", then B and I of each kind of entity.
        scheme: how the tags stood in the training data, such as "IOB1"; "spans" where it has places of characters.
        sha256: of the training split in canonical form.
        notes: what was done to get here (columns, scheme, splits cut off), a line each.
        warnings: what a person should look at, a line each.
    """

    train: TaggedSplit
    validation: TaggedSplit
    test: TaggedSplit
    label_names: tuple[str, ...]
    scheme: str
    sha256: str
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def split(self, name: str) -> TaggedSplit:
        """The split called train, validation or test."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        if name not in splits:
            raise DataError(f"there is no split {name!r}; there are {', '.join(splits)}")
        return splits[name]
