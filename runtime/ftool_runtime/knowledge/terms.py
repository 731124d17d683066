"""Prepare texts for the full-text index, and turn any question into valid queries of this index.

SQLite's tokenizer `unicode61` splits at spaces and removes case and Latin diacritics. This module removes the
diacritics of Greek and other scripts. In scripts without spaces between words, it makes every pair of neighbouring
characters a term, like Lucene's CJKBigramFilter. Korean is treated in the same way, because its particles are attached
to words.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from ftool_runtime.text.scripts import BOPOMOFO, HANGUL, UNSPACED

# Marks (M*) must count as part of a word: otherwise unicode61 splits Hindi words at their vowel signs.
TOKENIZER: Final = "unicode61 remove_diacritics 2 categories 'L* N* M* Co'"

UNSPACED_LETTERS: Final = UNSPACED + BOPOMOFO + HANGUL
_UNSPACED = re.compile(f"[{UNSPACED_LETTERS}]+")
_POINTS = re.compile(  # optional in writing: vowel points of Arabic and Hebrew, and the Arabic tatweel
    "[\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06dc]"
)
_GREEK = re.compile("[\u0370-\u03ff\u1f00-\u1fff]+")
_YO = str.maketrans("ёЁ", "еЕ")  # Russian texts often write е for ё
_BETWEEN_WORDS = frozenset("ZPS")


def index_text(text: str) -> str | None:
    """Return the form of `text` that goes into the full-text index; None if that form is `text` itself.

    Each run of letters in a script without spaces is replaced by its bigrams and its last letter, so that every letter
    starts a term.
    """
    terms = _UNSPACED.sub(_bigrams, _normalised(text))
    return None if terms == text else terms


def query_terms(question: str) -> list[str]:
    """Return the distinct terms of a question, as FTS5 query strings.

    Terms are quoted, so that FTS5 does not interpret words such as OR, quotes or operators. A single letter in a script
    without spaces becomes a prefix query, which finds all terms that begin with the letter.
    """
    return list({folded(term): term for term in _terms(_normalised(question))}.values())


def folded(term: str) -> str:
    """Return a query term as the index stores it: without case and diacritics, approximately as in unicode61."""
    letters = unicodedata.normalize("NFD", term.strip('"*').lower().replace("ς", "σ"))
    return unicodedata.normalize("NFC", "".join(c for c in letters if not "\u0300" <= c <= "\u036f"))


def _normalised(text: str) -> str:
    """Return `text` in the Unicode form NFKC, without Greek accents and Arabic and Hebrew points.

    SQLite's tokenizer unicode61 would not remove these accents and points. The Russian letter ё becomes е.

    NFKC unifies full-width and normal letters, ligatures and their letters, and composed and decomposed characters.
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
    """Return whether a character separates words, both in Unicode 3.2 and in Python's version of Unicode.

    SQLite's version lies between the two. Where they differ, the result is False, which leaves the decision to SQLite.
    """
    categories = unicodedata.ucd_3_2_0.category(character), unicodedata.category(character)
    return all(category[0] in _BETWEEN_WORDS or category in ("Cc", "Cf") for category in categories)
