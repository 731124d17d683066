"""Where a text may be cut: ends of paragraphs, of sentences, of lines, and last of words."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from ftool_runtime.text.scripts import CLOSING, FULL_WIDTH_CLOSING, FULL_WIDTH_STOPS, OTHER_STOPS, STOPS

_PARAGRAPHS = re.compile(r"\n[^\S\n]*\n\s*")
_SENTENCES = re.compile(
    rf"(?<=[{STOPS}])[{CLOSING}]*\s+(?![a-zß-ÿ])"  # "e.g. this" goes on
    rf"|(?<=[{FULL_WIDTH_STOPS}])[{FULL_WIDTH_CLOSING}]*\s*|(?<=[{OTHER_STOPS}])\s*"
)
_LINES = re.compile(r"\n\s*")
_SPACES = re.compile(r"\s+")


class Stretch(NamedTuple):
    """Characters `start` to `end` of a text; white space stands between one and the next."""

    start: int
    end: int


def paragraphs(text: str, start: int = 0, end: int | None = None) -> Iterator[Stretch]:
    """The paragraphs of a text, which empty lines part."""
    return _between(_PARAGRAPHS, text, start, len(text) if end is None else end)


def sentences(text: str, start: int, end: int) -> Iterator[Stretch]:
    """The sentences of a part of a text, their closing quotes and brackets with them."""
    return _between(_SENTENCES, text, start, end)


def lines(text: str, start: int, end: int) -> Iterator[Stretch]:
    """The lines of a part of a text."""
    return _between(_LINES, text, start, end)


def _between(marks: re.Pattern[str], text: str, start: int, end: int) -> Iterator[Stretch]:
    """What stands before, between and after the marks, without white space at its ends; nothing empty."""
    begin = start
    for mark in marks.finditer(text, start, end):
        closing = mark.start() + len(mark.group().rstrip())
        yield from _stripped(text, begin, closing)
        begin = mark.end()
    yield from _stripped(text, begin, end)


def _stripped(text: str, start: int, end: int) -> Iterator[Stretch]:
    stretch = text[start:end]
    begin = start + len(stretch) - len(stretch.lstrip())
    if begin < start + len(stretch.rstrip()):
        yield Stretch(begin, start + len(stretch.rstrip()))


def last_end(text: str) -> int:
    """Where the last whole paragraph of a text ends; where it has but one, the last sentence, line or word."""
    for mark in (_PARAGRAPHS, _SENTENCES, _LINES, _SPACES):
        found = [
            match.end() for match in mark.finditer(text) if match.start() > 0 and match.end() < len(text)
        ]
        if found:
            return found[-1]
    return len(text)
