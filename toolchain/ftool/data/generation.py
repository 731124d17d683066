"""What data to generate text from is once it is loaded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ftool.data.table import Table
from ftool.data.types import DataError

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str

    def to_json(self) -> dict[str, str]:
        """As chat templates take it."""
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True, slots=True)
class Example:
    """What goes in and what should come out.

    Attributes:
        source: the text to summarise or translate, or a prompt as plain text; "" where the text is all there is.
        targets: what is right: one text, or several references where the data has them; training takes the first.
        messages: text-generation on conversations: all turns before the answer, in which case `source` is "" and
            the answer is `targets[0]`; None otherwise. A conversation of several turns is one example: training takes
            the loss on every turn of the assistant, those among `messages` included, and what is judged is the last.
        row: where it stands: its line, a header being 1; where there are no lines, its position from 1.
    """

    source: str
    targets: tuple[str, ...]
    messages: tuple[Message, ...] | None = None
    row: int = 0


@dataclass(frozen=True, slots=True)
class GenerationSplit:
    """Examples in the order of their source."""

    examples: Sequence[Example]
    source: str  # the file, or the data set and split
    table: Table = field(default_factory=Table)  # the rows of the examples, where each has one of its own

    def __len__(self) -> int:
        return len(self.examples)


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationData:
    """A data set for summarization, translation or text-generation.

    Attributes:
        further: splits beside the three, such as the forms of dates that training never shows.
        sha256: of the training split in canonical form.
        notes: what was done to get here (columns found, splits cut off), a line each.
        warnings: what a person should look at, a line each.
    """

    train: GenerationSplit
    validation: GenerationSplit
    test: GenerationSplit
    sha256: str
    further: Mapping[str, GenerationSplit] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def split(self, name: str) -> GenerationSplit:
        """The split called train, validation or test, or one of the further ones."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test, **self.further}
        if name not in splits:
            raise DataError(f"there is no split {name!r}; there are {', '.join(splits)}")
        return splits[name]
