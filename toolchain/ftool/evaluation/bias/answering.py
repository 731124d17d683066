"""Answers of an open model to texts that belong to no data set of its own."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ftool.evaluation.opened import OpenModel
from ftool_runtime.models.reader import read_answer
from ftool_runtime.postprocessing.classification import probabilities


@dataclass(frozen=True, kw_only=True)
class Classified:
    """A classifier's labels, and for every text those that apply."""

    labels: tuple[str, ...]
    applying: Sequence[tuple[str, ...]]

    def any_of(self, labels: Sequence[str]) -> NDArray[np.bool_]:
        """Which texts have one of `labels`, (texts,)."""
        wanted = set(labels)
        return np.array([not wanted.isdisjoint(found) for found in self.applying])


def classify_texts(model: OpenModel, texts: Sequence[str]) -> Classified:
    """The labels that a classifier gives to texts; if several may apply, by its own thresholds."""
    return Classified(
        labels=tuple(model.known.labels), applying=[answer.labels for answer in model.model(texts)]
    )


def answer_questions(model: OpenModel, asked: Sequence[dict[str, str]], *, always: bool) -> list[str | None]:
    """What a reader answers to questions about contexts; None if it says that there is no answer.

    With `always` it is the best stretch of the context, even if the reader would say that there is no answer.
    """
    threshold = None if always else model.facts.questions.no_answer_threshold
    return [
        read_answer(one["context"], found, threshold).text
        for one, found in zip(asked, model.model.spans(asked), strict=True)
    ]


def score_pairs(model: OpenModel, pairs: Sequence[dict[str, str]], label: str | None) -> NDArray[np.float64]:
    """The scores that a classifier of pairs gives, (pairs,): the probability of `label`, or its one number."""
    known = model.known
    logits = np.asarray(model.model.logits(pairs), dtype=np.float64)
    if known.regression or label is None:
        return logits[:, 0]
    found: NDArray[np.float64] = probabilities(logits, multi_label=known.multi_label)
    return found[:, list(known.labels).index(label)]
