"""Run an open model on a benchmark's texts: classify them, answer questions, or score pairs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ftool.evaluation.open_model import OpenModel
from ftool_runtime.models.reader import read_answer
from ftool_runtime.postprocessing.classification import probabilities


@dataclass(frozen=True, kw_only=True)
class Classified:
    """The labels that a classifier assigned to texts.

    Attributes:
        labels: all labels of the classifier.
        applying: for each text, the labels that the classifier assigned.
    """

    labels: tuple[str, ...]
    applying: Sequence[tuple[str, ...]]

    def any_of(self, labels: Sequence[str]) -> NDArray[np.bool_]:
        """Return whether each text was assigned at least one of `labels`: bool (texts,)."""
        wanted = set(labels)
        return np.array([not wanted.isdisjoint(found) for found in self.applying])


def classify_texts(model: OpenModel, texts: Sequence[str]) -> Classified:
    """Return the labels that a classifier assigns to texts; a multi-label classifier applies its thresholds."""
    return Classified(
        labels=tuple(model.known.labels), applying=[answer.labels for answer in model.model(texts)]
    )


def answer_questions(model: OpenModel, asked: Sequence[dict[str, str]], *, always: bool) -> list[str | None]:
    """Return a reader's answer to each item of `asked`, a dict with "question" and "context"; None for "no answer".

    If `always` is true, the answer is the best span of the context even if the reader prefers "no answer".
    """
    threshold = None if always else model.facts.questions.no_answer_threshold
    return [
        read_answer(one["context"], found, threshold).text
        for one, found in zip(asked, model.model.spans(asked), strict=True)
    ]


def score_pairs(model: OpenModel, pairs: Sequence[dict[str, str]], label: str | None) -> NDArray[np.float64]:
    """Return the scores that a pair classifier gives to text pairs, float64 (pairs,).

    A score is the probability of `label`; if the model is a regression or `label` is None, it is the predicted number.
    """
    known = model.known
    logits = np.asarray(model.model.logits(pairs), dtype=np.float64)
    if known.regression or label is None:
        return logits[:, 0]
    found: NDArray[np.float64] = probabilities(logits, multi_label=known.multi_label)
    return found[:, list(known.labels).index(label)]
