"""Split a long text into chunks that a model can read: at paragraphs, or else at sentences, or else at words."""

import re
from collections.abc import Callable, Iterator
from typing import Final

from ftool_runtime.text.scripts import CLOSING, FULL_WIDTH_CLOSING, FULL_WIDTH_STOPS, STOPS

_PARAGRAPH: Final = re.compile(r"(?<=\n)[^\S\n]*\n+")
# Matches after a full stop and closing quotes if a space follows, and after a Chinese or Japanese full stop, which
# needs no space.
_SENTENCE: Final = re.compile(
    rf"(?<=[{STOPS}])[{CLOSING}]*\s+|(?<=[{FULL_WIDTH_STOPS}；])[{FULL_WIDTH_CLOSING}]*"
)

Count = Callable[[str], int]
Begin = Callable[[str, int], str]


def split_long(text: str, budget: int, count: Count, begin: Begin) -> list[str]:
    """Return the chunks of `text`, in order; together they hold all its words.

    Args:
        text: any text that is not blank.
        budget: the largest number of tokens in a chunk.
        count: a function that returns the number of tokens of a text.
        begin: a function that takes a text and a number of tokens, and returns the longest beginning of the text that
            has at most this many tokens, but at least one character.
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
    """Yield the sentences of a paragraph; a sentence that is too long is cut at a space, or anywhere if needed."""
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
    """Yield the parts of `text` between matches of `border`, each including the match at its end."""
    begin = 0
    for found in border.finditer(text):
        if found.end() > begin:
            yield text[begin : found.end()]
            begin = found.end()
    if begin < len(text):
        yield text[begin:]
