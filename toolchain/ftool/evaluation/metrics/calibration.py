"""Measure the calibration of probabilities, and tune the thresholds of labels."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftool.evaluation.confidence_intervals import ConfidenceSettings, wilson
from ftool_runtime.postprocessing.classification import DEFAULT_THRESHOLD

_BINS = 15  # as in Guo et al. 2017


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """The answers whose confidence lies in one bin; all values but `answers` are from 0 to 1.

    Attributes:
        answers: the number of answers.
        confidence: their mean confidence.
        right: the share of them that is correct.
        low: the lower end of Wilson's 95% interval of `right`.
        high: its upper end.
    """

    answers: int
    confidence: float
    right: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """How often a model's answers are correct, by its confidence in them: a reliability diagram (Guo et al. 2017).

    Attributes:
        counted: what is counted as an answer, such as "texts".
        error: the expected calibration error, 0 to 1.
        bins: the bins that hold answers, from the lowest confidence up; bins have equal widths.
    """

    counted: str
    error: float
    bins: Sequence[ReliabilityBin]

    def to_json(self) -> dict[str, Any]:
        """Return the diagram as plain JSON."""
        return {
            "counted": self.counted,
            "expected_calibration_error": self.error,
            "bins": [asdict(one) for one in self.bins],
        }


def expected_calibration_error(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> float:
    """Return the gap between confidence and accuracy, 0 to 1, averaged over equal-width bins (Guo et al. 2017).

    Both arguments are (examples,): `confidence` is the probability of the model's answer, and `correct` says whether
    this answer is correct.
    """
    if len(confidence) == 0:
        return 0.0
    gaps = confidence_bins(confidence[:, None], correct[:, None]).sum(axis=0)
    return float(np.abs(gaps).sum() / len(confidence))


def confidence_bins(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return, for each example and bin, confidence minus correctness summed over the example's answers in the bin.

    The result is float64 (examples, bins).

    Both arguments are (examples, answers): an example can have several answers, such as one for each label.
    """
    bins = _bins(confidence)
    gaps = np.zeros((len(confidence), _BINS))
    rows = np.broadcast_to(np.arange(len(confidence))[:, None], bins.shape)
    np.add.at(gaps, (rows, bins), confidence - correct)
    return gaps


def reliability(confidence: NDArray[np.float64], correct: NDArray[np.bool_], *, counted: str) -> Reliability:
    """Return the reliability diagram of answers.

    The first two arguments are those of `expected_calibration_error`; `counted` says what an answer is given to, such
    as "texts".
    """
    places, interval = _bins(confidence), ConfidenceSettings()
    found = []
    for place in np.unique(places):
        inside = places == place
        answers, right = int(inside.sum()), int(correct[inside].sum())
        low, high = wilson(right, answers, interval)
        found.append(
            ReliabilityBin(
                answers=answers,
                confidence=float(confidence[inside].mean()),
                right=right / answers,
                low=low,
                high=high,
            )
        )
    return Reliability(counted=counted, error=expected_calibration_error(confidence, correct), bins=found)


def _bins(confidence: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the bin of each confidence, int64 of the same shape."""
    return np.minimum((confidence * _BINS).astype(np.int64), _BINS - 1)


def tune_thresholds(scores: NDArray[np.float64], targets: NDArray[np.bool_]) -> tuple[float, ...]:
    """Return, for each label, the probability threshold that gives the highest F1 on the given examples.

    `scores` (probabilities) and `targets` are (examples, labels). A threshold is halfway between the probabilities of
    the last accepted and the first rejected example; a label without a positive example gets the default threshold.
    """
    return tuple(_best_threshold(scores[:, label], targets[:, label]) for label in range(scores.shape[1]))


def _best_threshold(scores: NDArray[np.float64], targets: NDArray[np.bool_]) -> float:
    positives = int(targets.sum())
    if positives == 0:
        return DEFAULT_THRESHOLD
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    hits = np.cumsum(targets[order])
    taken = np.arange(1, len(ranked) + 1)
    f1 = 2 * hits / (taken + positives)
    # Examples with equal scores are on the same side of a threshold.
    f1[:-1][ranked[:-1] == ranked[1:]] = -1.0
    last = int(f1.argmax())
    following = ranked[last + 1] if last + 1 < len(ranked) else 0.0
    return float((ranked[last] + following) / 2)
