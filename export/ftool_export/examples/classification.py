"""Texts to classify: how logits for them are compared and scored."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftool_export.checkpoints.classifier import LoadedClassifier
from ftool_runtime.models.classifier import classify, probabilities
from ftool_runtime.session.encoder_engine import Outputs

Logits = NDArray[np.float32]  # (texts, labels)

_SAME_NUMBER = 0.1  # of all that numbers range over: 8 bits move some by a few hundredths


@dataclass(frozen=True, kw_only=True)
class ClassificationExamples:
    """Texts for a classifier.

    Attributes:
        loaded: the classifier, which knows what logits stand for.
        inputs: the texts, or dicts of "text" and "text_pair".
        metric: the main metric's name; None where the texts have no labels.
        scorer: that metric from logits, float32 (texts, labels).
    """

    loaded: LoadedClassifier
    inputs: Sequence[Any]
    metric: str | None = None
    scorer: Callable[[Logits], float] | None = None

    def score(self, outputs: Outputs) -> float:
        """The main metric."""
        assert self.scorer is not None, "these texts have no labels"
        return self.scorer(np.asarray(outputs))

    def same(self, reference: Outputs, other: Outputs) -> NDArray[np.bool_]:
        """Whether the label is the same, (texts, 1); where several may apply whether each does, (texts, labels).

        Numbers are the same where they differ by at most a tenth of all they range over.
        """
        if self.loaded.regression:
            return self.distances(reference, other)[:, np.newaxis] <= _SAME_NUMBER
        same = np.equal(self._applying(reference), self._applying(other))
        return same if self.loaded.multi_label else np.all(same, axis=1, keepdims=True)

    def distances(self, reference: Outputs, other: Outputs) -> NDArray[np.float64]:
        """The largest change of a label's probability, (texts,); of numbers, as a share of all they range over."""
        if self.loaded.regression:
            one, two = (np.asarray(values, dtype=np.float64)[:, 0] for values in (reference, other))
            spread = float(np.ptp(one)) or max(float(np.abs(one).max(initial=0.0)), 1e-6)
            return np.asarray(np.minimum(np.abs(one - two) / spread, 1.0), dtype=np.float64)
        both = [
            probabilities(np.asarray(logits), multi_label=self.loaded.multi_label)
            for logits in (reference, other)
        ]
        largest: NDArray[np.float64] = np.abs(both[0] - both[1]).max(axis=1)
        return largest

    def _applying(self, outputs: Outputs) -> NDArray[np.bool_]:
        """The labels that apply to every text, bool (texts, labels)."""
        loaded = self.loaded
        column = {label: index for index, label in enumerate(loaded.labels)}
        result = np.zeros((len(outputs), len(column)), dtype=np.bool_)
        answers = classify(
            np.asarray(outputs), loaded.labels, multi_label=loaded.multi_label, thresholds=loaded.thresholds
        )
        for row, answer in enumerate(answers):
            result[row, [column[label] for label in answer.labels]] = True
        return result
