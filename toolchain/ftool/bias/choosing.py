"""Which of BBQ's options a model takes: by the words of a reader's answer, or by a classifier's scores."""

import string
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .bbq import NO_OPTION
from .bbq_cases import Case

_ARTICLES = {"a", "an", "the"}
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def options_of_answers(cases: Sequence[Case], answers: Sequence[str | None]) -> NDArray[np.int64]:
    """The options that a reader's answers mean; None, "no answer", is the option that it can't be known.

    An answer means the option with whose words it shares most (token F1 as SQuAD has it; the group's name counts as a
    word of its option), and none where it shares no word, or as much with one as with the other.
    """
    return np.array([_option(case, answer) for case, answer in zip(cases, answers, strict=True)])


def options_of_scores(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """The option of the highest score in each row of `scores` (cases, 3)."""
    best: NDArray[np.int64] = scores.argmax(axis=1)
    return best


def _option(case: Case, answer: str | None) -> int:
    if answer is None or not answer.strip():
        return case.unknown
    given = _words(answer)
    overlaps = [
        max(_overlap(given, _words(option)), _overlap(given, _words(name)))
        for option, name in zip(case.options, case.names, strict=True)
    ]
    best = max(overlaps)
    return overlaps.index(best) if best > 0 and overlaps.count(best) == 1 else NO_OPTION


def _overlap(given: Sequence[str], wanted: Sequence[str]) -> float:
    """Token F1 (Rajpurkar et al. 2016)."""
    shared = sum((Counter(given) & Counter(wanted)).values())
    return 2 * shared / (len(given) + len(wanted)) if shared else 0.0


def _words(text: str) -> list[str]:
    words = text.lower().translate(_PUNCTUATION).split()
    return [word for word in words if word not in _ARTICLES] or words
