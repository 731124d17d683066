"""Split text at the ends of paragraphs, sentences, lines and words."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from ftool_runtime.text.scripts import CLOSING, FULL_WIDTH_CLOSING, FULL_WIDTH_STOPS, OTHER_STOPS, STOPS

_PARAGRAPHS = re.compile(r"\n[^\S\n]*\n\s*")
_SENTENCES = re.compile(
    rf"(?<=[{STOPS}])[{CLOSING}]*\s+(?![a-zß-ÿ])"  # no sentence ends in "e.g. this"
    rf"|(?<=[{FULL_WIDTH_STOPS}])[{FULL_WIDTH_CLOSING}]*\s*|(?<=[{OTHER_STOPS}])\s*"
)
_LINES = re.compile(r"\n\s*")
_SPACES = re.compile(r"\s+")


class Stretch(NamedTuple):
    """Characters `start` to `end` of a text, without the white space around them."""

    start: int
    end: int


def paragraphs(text: str, start: int = 0, end: int | None = None) -> Iterator[Stretch]:
    """The paragraphs of a text, separated by empty lines."""
    return _between(_PARAGRAPHS, text, start, len(text) if end is None else end)


def sentences(text: str, start: int, end: int) -> Iterator[Stretch]:
    """The sentences of a part of a text, including their closing quotes and brackets."""
    return _between(_SENTENCES, text, start, end)


def lines(text: str, start: int, end: int) -> Iterator[Stretch]:
    """The lines of a part of a text."""
    return _between(_LINES, text, start, end)


def _between(boundaries: re.Pattern[str], text: str, start: int, end: int) -> Iterator[Stretch]:
    """The non-empty stretches before, between and after the boundaries, stripped of white space."""
    begin = start
    for boundary in boundaries.finditer(text, start, end):
        closing = boundary.start() + len(boundary.group().rstrip())
        yield from _stripped(text, begin, closing)
        begin = boundary.end()
    yield from _stripped(text, begin, end)


def _stripped(text: str, start: int, end: int) -> Iterator[Stretch]:
    stretch = text[start:end]
    begin = start + len(stretch) - len(stretch.lstrip())
    if begin < start + len(stretch.rstrip()):
        yield Stretch(begin, start + len(stretch.rstrip()))


def last_end(text: str) -> int:
    """The end of a text's last complete paragraph; if it has only one, of its last sentence, line or word."""
    for boundary in (_PARAGRAPHS, _SENTENCES, _LINES, _SPACES):
        found = [
            match.end() for match in boundary.finditer(text) if match.start() > 0 and match.end() < len(text)
        ]
        if found:
            return found[-1]
    return len(text)
