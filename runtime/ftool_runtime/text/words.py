"""Split texts into words with their character ranges, independently of any tokenizer."""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from ftool_runtime.text.scripts import UNSPACED

CharRange = tuple[int, int]  # the first character and the one past the last
_Kind = Literal["blank", "letter", "single", "symbol", "attached"]

_UNSPACED = re.compile(f"[{UNSPACED}]")
_BLANK_FORMATS = "\u200b\u200e\u200f\u2060\ufeff"  # zero width, between words or at their edges
_ADDRESS = re.compile(r"(?<![0-9A-Za-z])(?:[A-Za-z][0-9A-Za-z+.-]*://|www\.)[!-~]+")
_CLOSING = ".,;:!?)]}'\"*"
_MODIFIERS = "\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"  # skin tones


def split_words(text: str) -> list[CharRange]:
    """The words of `text`, in order: runs of letters and digits with the marks on them, or runs of symbols (emoji).

    Punctuation marks and the letters of scripts without spaces are words of their own, as Chinese characters are in
    BERT's splitting. A web address is one word, as annotators count it. Spaces and zero-width formats are not part of
    any word.
    """
    words: list[CharRange] = []
    end = 0
    for address in _addresses(text):
        words += [*_split(text, end, address[0]), address]
        end = address[1]
    return [*words, *_split(text, end, len(text))]


def _addresses(text: str) -> list[CharRange]:
    """The ranges of web addresses, without punctuation after them."""
    if "://" not in text and "www." not in text:
        return []
    return [
        (match.start(), match.start() + len(match[0].rstrip(_CLOSING))) for match in _ADDRESS.finditer(text)
    ]


def _split(text: str, first: int, last: int) -> list[CharRange]:
    words: list[CharRange] = []
    running: _Kind = "blank"
    for position, kind in enumerate(map(kind_of, text[first:last]), start=first):
        if kind == "blank":
            running = "blank"
        elif running != "blank" and (kind == "attached" or (kind == running and kind != "single")):
            words[-1] = (words[-1][0], position + 1)
        else:
            words.append((position, position + 1))
            running = kind
    return words


def join_words(words: Sequence[str]) -> tuple[str, list[CharRange]]:
    """The words as a text, with one space between them, and the range of each word in it."""
    spans: list[CharRange] = []
    start = 0
    for word in words:
        spans.append((start, start + len(word)))
        start += len(word) + 1
    return " ".join(words), spans


def is_blank(character: str) -> bool:
    """Whether a character is not part of any word."""
    return kind_of(character) == "blank"


def end_of_character(text: str, end: int) -> int:
    """`end`, moved past the marks, joiners and variation selectors that belong to the character before it."""
    while 0 < end < len(text) and kind_of(text[end]) == "attached":
        end += 1
    return end


@lru_cache(maxsize=8192)
def kind_of(character: str) -> _Kind:
    """The kind of a character: between words ("blank"), a word of its own ("single"), part of any word, or other."""
    category = unicodedata.category(character)
    if character.isspace() or character in _BLANK_FORMATS or category == "Cc":
        return "blank"
    if category[0] == "M" or category == "Cf" or character in _MODIFIERS:
        return "attached"
    if category[0] == "P" or _UNSPACED.match(character) or (character.isascii() and category[0] == "S"):
        return "single"
    return "symbol" if category[0] in "SC" else "letter"
