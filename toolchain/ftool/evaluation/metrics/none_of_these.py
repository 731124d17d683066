"""Texts that none of a classifier's labels fits: the probability below which it answers none, and metrics of this."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from ftool.evaluation.confidence_intervals import ConfidenceSettings, Estimate, wilson
from ftool_runtime.postprocessing.classification import probabilities

_NEARLY: Final = 0.01  # one point


@dataclass(frozen=True)
class Confidence:
    """The probabilities of the most probable labels.

    Attributes:
        inside: for texts that have one of the labels, float64 (texts,).
        right: whether the most probable label of each of these texts is correct, bool (texts,).
        outside: for texts that none of the labels fits, float64 (other texts,).
    """

    inside: NDArray[np.float64]
    right: NDArray[np.bool_]
    outside: NDArray[np.float64]

    @classmethod
    def of(
        cls, logits: NDArray[np.float32], targets: NDArray[np.int64], outside: NDArray[np.float32]
    ) -> "Confidence":
        """Return the probabilities for logits (texts, labels) with the labels' indices `targets`, and for `outside`."""
        inside, other = (probabilities(one, multi_label=False).max(axis=1) for one in (logits, outside))
        return cls(inside, logits.argmax(axis=1) == targets, other)


def fit_none_below(found: Confidence) -> float:
    """Return the probability below which a classifier should answer none.

    It maximises the mean of two shares: of the texts with a label, those that get it; of the other texts, those that
    get none. So it does not depend on how many of the texts are of either kind. It lies halfway between two
    probabilities; of those within one point of the best, it is the lowest, which takes the fewest labels away.
    """
    values = np.concatenate([found.inside, found.outside])
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    gains = np.concatenate(
        [
            -found.right.astype(np.float64) / len(found.right),
            np.full(len(found.outside), 1 / len(found.outside)),
        ]
    )
    totals = np.concatenate([[0.0], np.cumsum(gains[order])])  # totals[n]: the n least sure texts get none
    boundary = np.concatenate([[True], ranked[1:] > ranked[:-1], [True]])
    means = np.where(boundary, totals / 2, -np.inf)
    count = int((means >= means.max() - _NEARLY).argmax())
    if count == 0:
        return 0.0
    above = ranked[count] if count < len(ranked) else 1.0
    return float((ranked[count - 1] + above) / 2)


def none_metrics(found: Confidence, none_below: float | None) -> dict[str, float]:
    """Return metrics of "none of these", fractions from 0 to 1, and the number of texts that no label fits.

    `none_auroc` is the probability that a text with a label is surer than a text without (0.5: by chance). If
    `none_below` is given, also: `accuracy_with_none` over all texts, `accuracy_in_scope` over those with a label, and
    `none_recall` over those without.
    """
    metrics: dict[str, float] = {
        "none_auroc": _auroc(found.inside, found.outside),
        "none_examples": len(found.outside),
    }
    if none_below is None:
        return metrics
    shares = {name: float(right.mean()) for name, right in _right(found, none_below).items()}
    return metrics | shares | {"none_below": none_below}


def none_intervals(found: Confidence, none_below: float | None) -> Mapping[str, Estimate]:
    """Return the 95% confidence intervals of the metrics: Wilson's for shares, the bootstrap's for `none_auroc`."""
    settings = ConfidenceSettings()
    rng = np.random.default_rng(settings.seed)
    samples = [
        _auroc(*(rng.choice(one, len(one)) for one in (found.inside, found.outside)))
        for _ in range(settings.resamples // 4)  # each sorts all texts
    ]
    tail = 100 * (1 - settings.level) / 2
    low, high = np.percentile(samples, [tail, 100 - tail])
    intervals = {"none_auroc": Estimate(_auroc(found.inside, found.outside), float(low), float(high))}
    for name, right in ({} if none_below is None else _right(found, none_below)).items():
        intervals[name] = Estimate(float(right.mean()), *wilson(int(right.sum()), len(right), settings))
    return intervals


def _right(found: Confidence, none_below: float) -> dict[str, NDArray[np.bool_]]:
    """Return for each share whether each of its texts gets the right answer, as a call with `none_below` gives it."""
    inside, outside = found.right & (found.inside >= none_below), found.outside < none_below
    return {
        "accuracy_with_none": np.concatenate([inside, outside]),
        "accuracy_in_scope": inside,
        "none_recall": outside,
    }


def _auroc(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> float:
    """Return the share of pairs of a text inside and one outside in which the one inside is surer; ties count half."""
    ranks = rankdata(np.concatenate([inside, outside]))[: len(inside)]
    pairs = len(inside) * len(outside)
    return float((ranks.sum() - len(inside) * (len(inside) + 1) / 2) / pairs)
