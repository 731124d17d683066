"""Examples for classifiers and regressors: comparing and scoring logits."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ftool_export.checkpoints.classifier import LoadedClassifier
from ftool_export.examples.base import AnswerKind, EncoderExamples
from ftool_runtime.postprocessing.classification import classify, probabilities
from ftool_runtime.session.encoder_engine import Outputs

Logits = NDArray[np.float32]  # (texts, labels)

_SAME_NUMBER = 0.1  # as a share of the numbers' range; 8-bit weights move some by a few hundredths of it


@dataclass(frozen=True, kw_only=True)
class ClassificationExamples(EncoderExamples):
    """Texts for a classifier.

    Attributes:
        loaded: the classifier, whose labels and thresholds turn logits into answers.
        inputs: the texts, or dicts of "text" and "text_pair".
        scorer: computes the main metric from logits, float32 (texts, labels).
    """

    kind: ClassVar[AnswerKind] = "labels"
    loaded: LoadedClassifier
    scorer: Callable[[Logits], float] | None = None

    def score(self, outputs: Outputs) -> float:
        """Return the main metric for the logits `outputs`."""
        assert self.scorer is not None, "these texts have no labels"
        return self.scorer(self.scored(outputs))

    def same(self, reference: Outputs, other: Outputs) -> NDArray[np.bool_]:
        """Return whether each text gets the same label from both outputs, bool (texts, 1).

        For multi-label models, return whether both agree on each label, bool (texts, labels). For regressors, return
        whether each number differs by at most a tenth of its range over all texts, bool (texts, numbers).
        """
        if self.loaded.regression:
            return _changes(reference, other) <= _SAME_NUMBER
        same = np.equal(self._applying(reference), self._applying(other))
        return same if self.loaded.multi_label else np.all(same, axis=1, keepdims=True)

    def distances(self, reference: Outputs, other: Outputs) -> NDArray[np.float64]:
        """Return the largest change of a label's probability for each text, float64 (texts,).

        For regressors, return the largest change of a number, as a share of the number's range over all texts, at most
        1.
        """
        largest: NDArray[np.float64]
        if self.loaded.regression:
            largest = _changes(reference, other).max(axis=1)
            return largest
        both = [
            probabilities(np.asarray(logits), multi_label=self.loaded.multi_label)
            for logits in (reference, other)
        ]
        largest = np.abs(both[0] - both[1]).max(axis=1)
        return largest

    def _applying(self, outputs: Outputs) -> NDArray[np.bool_]:
        """Return whether each label applies to each text, bool (texts, labels)."""
        loaded = self.loaded
        column = {label: index for index, label in enumerate(loaded.labels)}
        result = np.zeros((len(outputs), len(column)), dtype=np.bool_)
        answers = classify(
            np.asarray(outputs), loaded.labels, multi_label=loaded.multi_label, thresholds=loaded.thresholds
        )
        for row, answer in enumerate(answers):
            result[row, [column[label] for label in answer.labels]] = True
        return result


def _changes(reference: Outputs, other: Outputs) -> NDArray[np.float64]:
    """Return the change of each number as a share of its range over all texts, at most 1: float64 (texts, numbers)."""
    one, two = (np.asarray(values, dtype=np.float64) for values in (reference, other))
    spread = np.ptp(one, axis=0)
    spread = np.where(spread > 0, spread, np.maximum(np.abs(one).max(axis=0, initial=0.0), 1e-6))
    return np.asarray(np.minimum(np.abs(one - two) / spread, 1.0), dtype=np.float64)
