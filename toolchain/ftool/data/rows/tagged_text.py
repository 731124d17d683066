"""Texts with tagged words."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ftool.data.dataset import Example
from ftool_runtime.postprocessing.tag_names import outside, split_tag


class BadRowError(Exception):
    """A row can't be read; the text says what is wrong, as the end of a sentence that begins with its place."""


@dataclass(frozen=True, slots=True)
class TaggedText(Example):
    """A text, its words and the tag of each.

    Attributes:
        text: as it stands in the source; if that has only words, they are joined by one space each.
        words: for each word its first character and the one past its last, in order.
        tags: one for each word, in IOB2: "O", "B-person", "I-person".
    """

    text: str
    words: tuple[tuple[int, int], ...]
    tags: tuple[str, ...]

    @property
    def tokens(self) -> list[str]:
        """The words as strings."""
        return [self.text[start:end] for start, end in self.words]

    @property
    def input(self) -> str:
        """The text."""
        return self.text

    @property
    def key(self) -> str:
        """The text."""
        return self.text

    @property
    def classes(self) -> tuple[str, ...]:
        """The kinds of its entities."""
        return kinds_of(self.tags)

    @property
    def content(self) -> list[Any]:
        """The text, its words and their tags; the scheme of tags in the source does not count."""
        return [self.text, self.words, self.tags]


def kinds_of(tags: Iterable[str]) -> tuple[str, ...]:
    """Return the kinds of entity in tags, each once, in their order."""
    return tuple(dict.fromkeys(split_tag(tag)[1] for tag in tags if not outside(tag)))
