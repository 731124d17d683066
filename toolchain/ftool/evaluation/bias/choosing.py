"""Which of BBQ's options a model takes: by the words of a reader's answer, or by a classifier's scores."""

import string
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ftool.data.label_policy import ModelFacts
from ftool.evaluation.bias.bbq import NO_OPTION
from ftool.evaluation.bias.bbq_cases import Case
from ftool_runtime.errors import InputError

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


def pairs_of_options(cases: Sequence[Case]) -> list[dict[str, str]]:
    """Three pairs a case, for a classifier to score: the context, and the question with one of the options."""
    return [
        {"text": case.context, "text_pair": f"{case.question} {option}"}
        for case in cases
        for option in case.options
    ]


def option_label(model: ModelFacts, named: str | None) -> str | None:
    """The label by which options are scored: the one named, or entailment; None where the model gives a number.

    Raises InputError where the model reads single texts, or it can't be told which label.
    """
    if not model.pairs:
        raise InputError(
            "bbq asks a classifier of pairs, a context and a question with an option; this one reads one text"
        )
    if model.regression:
        return None
    label = named or next((one for one in model.labels if one.casefold() == "entailment"), None)
    if label not in model.labels:
        problem = "bbq needs to know which label" if label is None else f"the model has no label {label!r} to"
        raise InputError(
            f"{problem} say that an option is right: give --option-label one of {', '.join(model.labels)}"
        )
    return label


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
