"""Split texts at the ends of paragraphs, sentences, lines and words."""

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
    """The range of characters `start` to `end` (exclusive) of a text, without white space at either side."""

    start: int
    end: int


def paragraphs(text: str, start: int = 0, end: int | None = None) -> Iterator[Stretch]:
    """Yield the paragraphs of `text[start:end]`, which are separated by empty lines, as ranges of `text`."""
    return _between(_PARAGRAPHS, text, start, len(text) if end is None else end)


def sentences(text: str, start: int, end: int) -> Iterator[Stretch]:
    """Yield the sentences of `text[start:end]`, including closing quotes and brackets, as ranges of `text`."""
    return _between(_SENTENCES, text, start, end)


def lines(text: str, start: int, end: int) -> Iterator[Stretch]:
    """Yield the lines of `text[start:end]` as ranges of `text`."""
    return _between(_LINES, text, start, end)


def _between(boundaries: re.Pattern[str], text: str, start: int, end: int) -> Iterator[Stretch]:
    """Yield the ranges before, between and after boundaries in `text[start:end]`, stripped, without empty ranges."""
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
    """Return the position after the last boundary between paragraphs, or else between sentences, lines or words.

    Boundaries at the start or the end of `text` don't count. Without any boundary, the position is the end of `text`.
    """
    for boundary in (_PARAGRAPHS, _SENTENCES, _LINES, _SPACES):
        found = [
            match.end() for match in boundary.finditer(text) if match.start() > 0 and match.end() < len(text)
        ]
        if found:
            return found[-1]
    return len(text)
