"""Texts as the full-text index takes them, and questions as queries that no text can break.

SQLite's `unicode61` finds words between spaces and takes case and Latin's diacritics off. That leaves those of Greek
and other scripts, which are taken off here, and scripts that put no
spaces between words: there every two neighbouring characters are a term, as in Lucene's CJKBigramFilter. Korean has
spaces, but its particles are written on to the words, so it counts among them.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from ftool_runtime.text.scripts import BOPOMOFO, HANGUL, UNSPACED

# Marks are part of words: without them unicode61 cuts every word of Hindi at its vowels.
TOKENIZER: Final = "unicode61 remove_diacritics 2 categories 'L* N* M* Co'"

UNSPACED_LETTERS: Final = UNSPACED + BOPOMOFO + HANGUL
_UNSPACED = re.compile(f"[{UNSPACED_LETTERS}]+")
_POINTS = re.compile(  # may be written or not: points of Arabic and Hebrew, the stroke that lengthens Arabic words
    "[\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06dc]"
)
_GREEK = re.compile("[\u0370-\u03ff\u1f00-\u1fff]+")
_YO = str.maketrans("ёЁ", "еЕ")  # Russian writes the one for the other
_BETWEEN_WORDS = frozenset("ZPS")


def index_text(text: str) -> str | None:
    """What stands for `text` in the full-text index; None where that is `text` itself.

    Of every run of unspaced letters its bigrams, and its last letter alone, so that each letter begins a term.
    """
    terms = _UNSPACED.sub(_bigrams, _normalised(text))
    return None if terms == text else terms


def query_terms(question: str) -> list[str]:
    """The terms of a question, as FTS5 query strings, each of them once.

    All are quoted, so that no word, quote or operator in them means anything to FTS5. A letter that stands alone
    finds what begins with it.
    """
    return list({folded(term): term for term in _terms(_normalised(question))}.values())


def folded(term: str) -> str:
    """The term in the index that a query term stands for, case and diacritics off, as near as Python comes to it."""
    letters = unicodedata.normalize("NFD", term.strip('"*').lower().replace("ς", "σ"))
    return unicodedata.normalize("NFC", "".join(c for c in letters if not "\u0300" <= c <= "\u036f"))


def _normalised(text: str) -> str:
    """`text` without accents and points that unicode61 leaves.

    In NFKC, which has one form for full-width letters, ligatures and composed characters.
    """
    if text.isascii():
        return text
    if not unicodedata.is_normalized("NFKC", text):
        text = unicodedata.normalize("NFKC", text)
    return _POINTS.sub("", _GREEK.sub(_unaccented, text.translate(_YO)))


def _unaccented(run: re.Match[str]) -> str:
    letters = unicodedata.normalize("NFD", run.group())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def _bigrams(run: re.Match[str]) -> str:
    letters = run.group()
    pairs = [letters[at : at + 2] for at in range(len(letters) - 1)]
    return f" {' '.join([*pairs, letters[-1]])} "


def _terms(text: str) -> Iterator[str]:
    position = 0
    for run in _UNSPACED.finditer(text):
        yield from _words(text[position : run.start()])
        position, letters = run.end(), run.group()
        if len(letters) == 1:
            yield f'"{letters}"*'
        yield from (f'"{letters[at : at + 2]}"' for at in range(len(letters) - 1))
    yield from _words(text[position:])


def _words(text: str) -> Iterator[str]:
    kept = (" " if _between_words(c) else c for c in text)
    return (f'"{word}"' for word in "".join(kept).split())


def _between_words(character: str) -> bool:
    """Whether no word holds the character. Those younger than Unicode 3.2 are left for SQLite, which indexed them."""
    category = unicodedata.ucd_3_2_0.category(character)
    return category[0] in _BETWEEN_WORDS or category in ("Cc", "Cf")
