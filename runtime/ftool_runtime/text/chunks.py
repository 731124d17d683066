"""Split a long text into chunks that a model can read, at paragraphs, else at sentences, else at words."""

import re
from collections.abc import Callable, Iterator
from typing import Final

from ftool_runtime.text.scripts import CLOSING, FULL_WIDTH_CLOSING, FULL_WIDTH_STOPS, STOPS

_PARAGRAPH: Final = re.compile(r"(?<=\n)[^\S\n]*\n+")
# after a stop and its quotes if a space follows, or after a Chinese or Japanese stop, which no space follows
_SENTENCE: Final = re.compile(
    rf"(?<=[{STOPS}])[{CLOSING}]*\s+|(?<=[{FULL_WIDTH_STOPS}；])[{FULL_WIDTH_CLOSING}]*"
)

Count = Callable[[str], int]
Begin = Callable[[str, int], str]


def split_long(text: str, budget: int, count: Count, begin: Begin) -> list[str]:
    """The chunks of `text`, in order; together they hold all its words.

    Args:
        text: any text that is not blank.
        budget: the most tokens of a chunk.
        count: returns how many tokens a text has.
        begin: returns the beginning of a text that has at most so many tokens, and at least one character.
    """
    chunks: list[str] = []
    for paragraph in _parts(_PARAGRAPH, text):
        if chunks and count(chunks[-1] + paragraph) <= budget:
            chunks[-1] += paragraph
        elif count(paragraph) <= budget:
            chunks.append(paragraph)
        else:
            chunks += _pack(_sentences(paragraph, budget, count, begin), budget, count)
    return [chunk.strip() for chunk in chunks if chunk.strip()]


def _pack(sentences: Iterator[str], budget: int, count: Count) -> list[str]:
    packed: list[str] = []
    for sentence in sentences:
        if packed and count(packed[-1] + sentence) <= budget:
            packed[-1] += sentence
        else:
            packed.append(sentence)
    return packed


def _sentences(paragraph: str, budget: int, count: Count, begin: Begin) -> Iterator[str]:
    """The sentences of a paragraph; one that is too long is cut at a space, or anywhere if it has none."""
    for sentence in _parts(_SENTENCE, paragraph):
        rest = sentence
        while count(rest) > budget:
            head = begin(rest, budget)
            space = max(head.rfind(" "), head.rfind("\n"))
            head = head[: space + 1] if space > len(head) // 2 else head
            yield head
            rest = rest[len(head) :]
        if rest:
            yield rest


def _parts(border: re.Pattern[str], text: str) -> Iterator[str]:
    """The parts of `text` between borders, each with the border after it."""
    begin = 0
    for found in border.finditer(text):
        if found.end() > begin:
            yield text[begin : found.end()]
            begin = found.end()
    if begin < len(text):
        yield text[begin:]
