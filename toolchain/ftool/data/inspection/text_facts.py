"""Lengths, scripts and languages of texts, and ranges of numbers."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np

_MOST_TEXTS: Final = 2000  # texts whose language is detected, evenly spread
# Tags and entities of HTML that texts from web forms and help desks carry along.
_HTML: Final = re.compile(
    r"</?(?:p|br|div|span|b|i|u|em|strong|a|ul|ol|li|td|tr|table|font|h[1-6])(?:\s[^<>]*)?/?>"
    r"|&(?:nbsp|amp|lt|gt|quot|apos|#\d{1,6}|#x[0-9a-f]{1,6});",
    re.IGNORECASE,
)
_FEWEST_LETTERS: Final = 20  # in shorter texts a language is a guess
_TIMES_RANGE: Final = 10  # a number this many ranges of the middle 90% away from these is far


def has_html(text: str) -> bool:
    """Whether a text holds a tag or an entity of HTML, such as <br/> or &nbsp;."""
    return ("<" in text or "&" in text) and _HTML.search(text) is not None


@dataclass(frozen=True, slots=True)
class Lengths:
    """The distribution of lengths: the median, the length that 95% do not exceed, and the longest."""

    median: int
    p95: int
    longest: int

    @classmethod
    def of(cls, lengths: Sequence[int]) -> "Lengths":
        """Return the distribution of `lengths`, which must not be empty."""
        median, high = np.percentile(lengths, [50, 95], method="lower")
        return cls(int(median), int(high), max(lengths))

    def to_json(self) -> dict[str, int]:
        """Return the three lengths as plain JSON."""
        return {"median": self.median, "p95": self.p95, "longest": self.longest}


@dataclass(frozen=True, slots=True)
class Range:
    """The distribution of numbers: the lowest, the median, the highest, and those between which the middle 90% lie."""

    lowest: float
    p5: float
    median: float
    p95: float
    highest: float

    @classmethod
    def of(cls, numbers: Sequence[float]) -> "Range":
        """Return the distribution of `numbers`, which must not be empty."""
        return cls(*map(float, np.percentile(numbers, [0, 5, 50, 95, 100])))

    def is_far(self, number: float) -> bool:
        """Whether a number is farther from the middle 90% than ten times their range."""
        reach = _TIMES_RANGE * (self.p95 - self.p5)
        return reach > 0 and not self.p5 - reach <= number <= self.p95 + reach

    def to_json(self) -> dict[str, float]:
        """Return the five numbers as plain JSON."""
        return asdict(self)


def scripts_of(texts: Iterable[str]) -> dict[str, int]:
    """Return the number of texts in each script, most frequent first; a text counts for the script of most letters.

    Names are those of Unicode in lower case, such as "latin" or "cjk"; a text without letters counts as "none".
    """
    found: Counter[str] = Counter()
    for text in texts:
        letters = Counter(map(_script, text))
        letters.pop("", None)
        found[letters.most_common(1)[0][0] if letters else "none"] += 1
    return dict(found.most_common())


def languages_of(texts: Sequence[str]) -> dict[str, int]:
    """Return the number of texts in each language, most frequent first, by py3langid (Lui and Baldwin 2012).

    Keys are ISO 639-1 codes. At most 2,000 texts are used, and only those of 20 letters and more: shorter texts say too
    little. Closely related languages, and texts in several languages, are often confused.
    """
    import py3langid

    long_enough = [text for text in texts if sum(map(str.isalpha, text[:1000])) >= _FEWEST_LETTERS]
    step = max(1, len(long_enough) // _MOST_TEXTS)
    found = Counter(py3langid.classify(text[:1000])[0] for text in long_enough[::step])
    return dict(found.most_common())


def shares_text(counts: Mapping[str, int], most: int = 4) -> str:
    """Return counts as a line of shares, such as "latin 98%, cyrillic 2%"; shares below one percent are not listed."""
    total = sum(counts.values())
    listed = [f"{name} {count / total:.0%}" for name, count in counts.items() if count >= total / 100][:most]
    return ", ".join(listed)


@lru_cache(maxsize=20_000)
def _script(character: str) -> str:
    """Return the first word of a letter's Unicode name in lower case, which is its script; "" if it is no letter."""
    if not character.isalpha():
        return ""
    name: Any = unicodedata.name(character, "")
    return str(name).partition(" ")[0].lower()
