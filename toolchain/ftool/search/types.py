"""Data types shared by the steps of indexing: documents, their pieces and passages."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ftool_runtime.errors import FtoolError


class DocumentError(FtoolError):
    """A document can't be read; the message names the document, the place in it and the remedy."""


class Heading(NamedTuple):
    """The start of a section. The heading's own text comes next, as the first text of the section."""

    level: int  # 1 is outermost
    text: str


class Title(NamedTuple):
    """The document's title, which is not part of its text."""

    text: str


Piece = str | Heading | Title  # the strings, joined in order, are the document's text


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document that can be read piece by piece, more than once.

    Attributes:
        name: its name in results.
        file: the name of the file that contains it, perhaps together with others.
        sha256: identifies its content and how it is parsed.
        pieces: starts reading it; raises DocumentError.
    """

    name: str
    file: str
    sha256: str
    pieces: Callable[[], Iterator[Piece]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CutPassage:
    """A passage of a document: its characters `start` to `start + len(text)`, and the headings above it.

    `gap` is the white space between it and the previous passage, "" if the two overlap.
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
