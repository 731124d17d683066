"""Detect the writing system of a language or text, and split texts into words and sentences for metrics."""

import re
from collections.abc import Iterable
from typing import Literal

from ftool_runtime.text.scripts import HAN, HANGUL, KANA, SOUTH_EAST_ASIAN, TIBETAN

WritingSystem = Literal["chinese", "japanese", "korean", "unspaced", "english", "spaced"]

# Keys are the first parts of codes in BCP 47, ISO 639-3 and NLLB, and language names in English.
_BY_CODE: dict[str, WritingSystem] = {
    **dict.fromkeys(("zh", "zho", "chi", "cmn", "yue", "chinese"), "chinese"),
    **dict.fromkeys(("ja", "jpn", "japanese"), "japanese"),
    **dict.fromkeys(("ko", "kor", "korean"), "korean"),
    **dict.fromkeys(("th", "tha", "lo", "lao", "km", "khm", "my", "mya", "bo", "bod"), "unspaced"),
    **dict.fromkeys(("en", "eng", "english"), "english"),
}
_SOUTH_EAST = SOUTH_EAST_ASIAN + TIBETAN
_SCRIPTS = {
    "han": re.compile(f"[{HAN}]"),
    "kana": re.compile(f"[{KANA}]"),
    "hangul": re.compile(f"[{HANGUL}]"),
    "unspaced": re.compile(f"[{_SOUTH_EAST}]"),
    "latin": re.compile(r"[A-Za-z]"),
    "other": re.compile(rf"[^\W\d_A-Za-z{HAN}{KANA}{HANGUL}{_SOUTH_EAST}]"),
}
_SINGLE = rf"[{HAN}{KANA}{_SOUTH_EAST}]"
_UNIT = re.compile(rf"{_SINGLE}|(?:(?!{_SINGLE})[^\W_])+")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])\s*|\n+")

_LETTERS_PER_CHARACTER = 3  # this many letters carry about as much content as one Chinese character
_MOST_TEXTS = 2000  # texts that are read to detect the writing system


def writing_system_of(language: str | None, texts: Iterable[str]) -> WritingSystem:
    """Return the writing system of a language code; if `language` is None, detect the writing system of `texts`.

    If `texts` have only Latin letters, or no letters, the result is that of English; for any other script that puts
    spaces between words it is "spaced".
    """
    if language is not None:
        return _BY_CODE.get(re.split("[-_]", language.lower(), maxsplit=1)[0], "spaced")
    sample = "\n".join(text for text, _ in zip(texts, range(_MOST_TEXTS), strict=False))
    counts = {name: len(pattern.findall(sample)) for name, pattern in _SCRIPTS.items()}
    characters = counts["han"] + counts["kana"]
    spaced = counts["latin"] + counts["other"]
    if max(characters, counts["hangul"], counts["unspaced"]) * _LETTERS_PER_CHARACTER <= spaced:
        return "spaced" if counts["other"] else "english"
    if counts["hangul"] >= max(characters, counts["unspaced"]):
        return "korean" if counts["hangul"] else "english"
    if counts["unspaced"] > characters:
        return "unspaced"
    return "japanese" if counts["kana"] * 20 > characters else "chinese"


def units(text: str) -> list[str]:
    """Return the words of a text (lower case, no punctuation), or, in scripts without spaces, its characters."""
    return _UNIT.findall(text.lower())


def sentences(text: str) -> list[str]:
    """Return the sentences of a text, split at line breaks and after full stops, exclamation and question marks."""
    return [part.strip() for part in _SENTENCE_END.split(text) if part.strip()]
