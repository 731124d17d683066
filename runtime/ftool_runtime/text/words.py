"""Split texts into words with their character ranges, independently of any tokenizer."""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from ftool_runtime.text.scripts import UNSPACED

CharRange = tuple[int, int]  # the index of the first character, and the index after the last one
_Kind = Literal["blank", "letter", "single", "symbol", "attached"]

_UNSPACED = re.compile(f"[{UNSPACED}]")
_BLANK_FORMATS = "\u200b\u200e\u200f\u2060\ufeff"  # zero-width characters, between words or at their edges
_ADDRESS = re.compile(r"(?<![0-9A-Za-z])(?:[A-Za-z][0-9A-Za-z+.-]*://|www\.)[!-~]+")
_CLOSING = ".,;:!?)]}'\"*"
_MODIFIERS = "\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"  # skin tones


def split_words(text: str) -> list[CharRange]:
    """Return the character ranges of the words of `text`, in order.

    A word is a run of letters and digits with their combining marks, or a run of symbols (emoji). Each punctuation mark
    is a word, and so is each letter of a script without spaces, like Chinese characters in BERT's tokenizer. A web
    address is one word, as in most annotated data. Spaces and zero-width characters are not part of any word.
    """
    words: list[CharRange] = []
    end = 0
    for address in _addresses(text):
        words += [*_split(text, end, address[0]), address]
        end = address[1]
    return [*words, *_split(text, end, len(text))]


def _addresses(text: str) -> list[CharRange]:
    """Return the character ranges of web addresses, without the punctuation that follows an address."""
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
    """Return the words as one text, joined by spaces, and the character range of each word in that text."""
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
    """Return `end`, moved past the marks, joiners and variation selectors of the character that ends at index `end`."""
    while 0 < end < len(text) and kind_of(text[end]) == "attached":
        end += 1
    return end


@lru_cache(maxsize=8192)
def kind_of(character: str) -> _Kind:
    """Return a character's kind, which decides how it joins its neighbours into words.

    "blank" characters are between words, "single" ones are words of their own, "attached" ones belong to the word
    before them, and neighbouring "letter" or neighbouring "symbol" characters form a word.
    """
    category = unicodedata.category(character)
    if character.isspace() or character in _BLANK_FORMATS or category == "Cc":
        return "blank"
    if category[0] == "M" or category == "Cf" or character in _MODIFIERS:
        return "attached"
    if category[0] == "P" or _UNSPACED.match(character) or (character.isascii() and category[0] == "S"):
        return "single"
    return "symbol" if category[0] in "SC" else "letter"
