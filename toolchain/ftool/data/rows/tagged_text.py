"""Example class for a text whose words have entity tags."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from ftool.data.dataset import Example
from ftool_runtime.postprocessing.tag_names import outside, split_tag


class BadRowError(Exception):
    """Raised for a row that can't be read.

    The message is a clause to put after the file and the row, such as "has an entity without a label at 3 to 8".
    """


@dataclass(frozen=True, slots=True)
class TaggedText(Example):
    """A text, the character ranges of its words, and an entity tag for each word.

    Attributes:
        text: the text exactly as in the source; if the source has only words, the words joined by spaces.
        words: (start, end) of each word, in order, as character offsets in the text; `end` is the offset after the last
            character of the word.
        tags: one IOB2 tag for each word, such as "O", "B-person" or "I-person".
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
        """The distinct kinds of entity in the text, such as "person"."""
        return kinds_of(self.tags)

    def with_classes_renamed(self, names: Mapping[str, str]) -> Self:
        """Return the example with each kind of entity called `names[kind]`; a kind not in `names` keeps its name."""
        return replace(self, tags=tuple(_renamed(tag, names) for tag in self.tags))

    @property
    def content(self) -> list[Any]:
        """A list of the text, the character ranges of the words, and the IOB2 tags.

        The tags are IOB2 whatever the tagging scheme of the source, so the fingerprint does not depend on that scheme.
        """
        return [self.text, self.words, self.tags]


def kinds_of(tags: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct kinds of entity that occur in `tags`, in order of first appearance."""
    return tuple(dict.fromkeys(split_tag(tag)[1] for tag in tags if not outside(tag)))


def _renamed(tag: str, names: Mapping[str, str]) -> str:
    if outside(tag):
        return tag
    prefix, kind = split_tag(tag)
    return f"{prefix}-{names.get(kind, kind)}"
