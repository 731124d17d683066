"""What passes between the steps of indexing."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ftool_runtime.errors import FtoolError


class DocumentError(FtoolError):
    """A document can't be read; the message names it, the place in it, and the remedy."""


class Heading(NamedTuple):
    """A section begins here: what follows stands under a heading, whose own text follows first."""

    level: int  # 1 is outermost
    text: str


class Title(NamedTuple):
    """The document's title, which is not part of its text."""

    text: str


Piece = str | Heading | Title  # a document is its strings, put together in order


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document that can be read, piece by piece and as often as one likes.

    Attributes:
        name: what it is called in answers.
        file: the file it stands in, which may hold several.
        sha256: of its content and of how it is read.
        pieces: begins to read it; raises DocumentError.
    """

    name: str
    file: str
    sha256: str
    pieces: Callable[[], Iterator[Piece]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CutPassage:
    """A passage of a document: its characters `start` to `start + len(text)`, and what stands above it.

    `gap` is the white space between it and the passage before, "" where the two overlap.
    """

    start: int
    text: str
    gap: str
    heading: str

    @property
    def embedded(self) -> str:
        """What is embedded: the passage under its headings, the last of which it may begin with itself."""
        above, _, last = self.heading.rpartition(HEADING_SEPARATOR)
        heading = above if last and self.text.startswith(last) else self.heading
        return f"{heading}\n{self.text}" if heading else self.text


HEADING_SEPARATOR = " > "
