"""Words and their places in a text: what sub-words are put together to, the same whatever the tokenizer."""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

Span = tuple[int, int]  # the first character and the one past the last
_Kind = Literal["blank", "letter", "alone", "symbol", "more"]

# Written without spaces: Chinese characters, kana, Thai, Lao, Myanmar, Khmer.
_UNSPACED = (
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF),
    (0x3041, 0x3096), (0x30A1, 0x30FA), (0x31F0, 0x31FF),
    (0x0E01, 0x0E7F), (0x0E80, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF),
)  # fmt: skip
_BLANK_FORMATS = "\u200b\u200e\u200f\u2060\ufeff"  # zero width, between words or at their edges
_ADDRESS = re.compile(r"(?<![0-9A-Za-z])(?:[A-Za-z][0-9A-Za-z+.-]*://|www\.)[!-~]+")
_CLOSING = ".,;:!?)]}'\"*"
_MODIFIERS = "\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"  # skin tones


def split_words(text: str) -> list[Span]:
    """The words of `text`, in order: runs of letters and digits with the marks on them, or runs of symbols (emoji).

    Punctuation marks and the characters of scripts without spaces stand alone, as Chinese ones do in BERT's own
    splitting; a web address is one word, as it is for whoever tags texts; spaces and zero-width formats belong to no
    word.
    """
    words: list[Span] = []
    end = 0
    for address in _addresses(text):
        words += [*_split(text, end, address[0]), address]
        end = address[1]
    return [*words, *_split(text, end, len(text))]


def _addresses(text: str) -> list[Span]:
    """Where web addresses stand, the punctuation behind them left out."""
    if "://" not in text and "www." not in text:
        return []
    return [
        (match.start(), match.start() + len(match[0].rstrip(_CLOSING))) for match in _ADDRESS.finditer(text)
    ]


def _split(text: str, first: int, last: int) -> list[Span]:
    words: list[Span] = []
    running: _Kind = "blank"
    for position, kind in enumerate(map(kind_of, text[first:last]), start=first):
        if kind == "blank":
            running = "blank"
        elif running != "blank" and (kind == "more" or (kind == running and kind != "alone")):
            words[-1] = (words[-1][0], position + 1)
        else:
            words.append((position, position + 1))
            running = kind
    return words


def join_words(words: Sequence[str]) -> tuple[str, list[Span]]:
    """The words as a text, one space between them, and the place of each in it."""
    spans: list[Span] = []
    start = 0
    for word in words:
        spans.append((start, start + len(word)))
        start += len(word) + 1
    return " ".join(words), spans


def is_blank(character: str) -> bool:
    """Whether a character belongs to no word."""
    return kind_of(character) == "blank"


def end_of_character(text: str, end: int) -> int:
    """`end` moved behind the marks, joiners and variation selectors that belong to the character before it."""
    while 0 < end < len(text) and kind_of(text[end]) == "more":
        end += 1
    return end


@lru_cache(maxsize=8192)
def kind_of(character: str) -> _Kind:
    """What a character does to a word: end it, go on with it, stand alone, or join what is before it ("more")."""
    category = unicodedata.category(character)
    if character.isspace() or character in _BLANK_FORMATS or category == "Cc":
        return "blank"
    if category[0] == "M" or category == "Cf" or character in _MODIFIERS:
        return "more"
    if category[0] == "P" or _is_unspaced(character) or (character.isascii() and category[0] == "S"):
        return "alone"
    return "symbol" if category[0] in "SC" else "letter"


def _is_unspaced(character: str) -> bool:
    code = ord(character)
    return any(first <= code <= last for first, last in _UNSPACED)
