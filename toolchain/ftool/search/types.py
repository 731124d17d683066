"""Data types that the steps of indexing share: documents, their pieces and their passages."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple


class Heading(NamedTuple):
    """A piece that marks the start of a section; the heading's text is repeated in the piece of text that follows."""

    level: int  # 1 for the outermost heading
    text: str


class Title(NamedTuple):
    """A piece that holds the document's title, which is not part of the document's text."""

    text: str


Piece = str | Heading | Title  # the strings among the pieces, joined in order, are the document's text


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document that can be read piece by piece, more than once.

    Attributes:
        name: the document's name in search results.
        file: the name of the file that contains the document and perhaps other documents.
        sha256: a string that changes if the document's content changes or is parsed in another way.
        pieces: a function that returns an iterator over the document's pieces, which may raise DocumentError.
    """

    name: str
    file: str
    sha256: str
    pieces: Callable[[], Iterator[Piece]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CutPassage:
    """A passage of a document: the characters `start` to `start + len(text)`, and the headings above the passage.

    `gap` is the white space between the previous passage and this one; "" if the two overlap.
    """

    start: int
    text: str
    gap: str
    heading: str

    @property
    def embedded(self) -> str:
        """The text to embed: headings and passage, without the last heading if the passage starts with it."""
        above, _, last = self.heading.rpartition(HEADING_SEPARATOR)
        heading = above if last and self.text.startswith(last) else self.heading
        return f"{heading}\n{self.text}" if heading else self.text


HEADING_SEPARATOR = " > "
