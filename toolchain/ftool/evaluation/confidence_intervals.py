"""Confidence intervals of metrics, and a test of whether a gap between slices is wider than chance would make it.

Metrics that are proportions, such as accuracy, get Wilson's interval (Wilson 1927), which stays valid near 0 and 1 and
for few examples. All other metrics get the percentile bootstrap interval (Efron 1979). Both methods assume that
examples are independent.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import DegenerateDataWarning, binomtest, bootstrap, permutation_test

from ftool.evaluation.statistics import Floats, Statistics, SummedStatistics

Positions = NDArray[np.int64]

_CELLS_AT_A_TIME = 2_000_000  # weights (samples x examples) in memory: 16 MB
_NO_WIDTH = 1e-9


@dataclass(frozen=True, kw_only=True)
class ConfidenceSettings:
    """Settings for confidence intervals and significance tests."""

    level: float = 0.95  # confidence level of the intervals, 0 to 1
    resamples: int = 2000  # bootstrap samples, and permutations of a test
    seed: int = 0  # seed of the bootstrap and the permutations

    def to_json(self) -> dict[str, Any]:
        """Return the settings as plain JSON for reports."""
        return {
            "confidence": self.level,
            "resamples": self.resamples,
            "seed": self.seed,
            "intervals": "Wilson for shares of examples, percentile bootstrap for the rest",
            "gaps": "permutation test of the widest gap between any two slices",
        }


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric's value and confidence interval, `low` to `high`.

    All are nan if the metric is undefined on the examples. The ends are nan if the examples are too few or too alike to
    estimate an interval: nearly all bootstrap samples have the same value.
    """

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float | None]:
        """Return the value and the interval as plain JSON, with None for nan."""
        return {name: finite(getattr(self, name)) for name in ("value", "low", "high")}


def finite(value: float) -> float | None:
    """Return `value` as a float, or None if it is nan or infinite, which JSON can't hold."""
    return float(value) if np.isfinite(value) else None


def metrics_of(statistics: Statistics, positions: Positions) -> dict[str, float]:
    """Return the metrics by name, computed on the examples at `positions`, int64 (examples,)."""
    values = statistics.metrics(_weights(positions[None], len(statistics)))
    return {name: float(value[0]) for name, value in values.items()}


def estimates(
    statistics: Statistics, positions: Positions, confidence: ConfidenceSettings
) -> dict[str, Estimate]:
    """Return each metric with its confidence interval, computed on the examples at `positions`, int64 (examples,)."""
    values = metrics_of(statistics, positions)
    sizes = _share_sizes(statistics, positions)
    names = [name for name in values if name not in sizes]
    found = {
        name: Estimate(values[name], *wilson(round(values[name] * size), size, confidence))
        if size
        else Estimate(np.nan, np.nan, np.nan)
        for name, size in sizes.items()
    }
    if names:
        low, high = _bootstrap(statistics, [positions], names, confidence)
        # The bootstrap of a biased metric, such as a calibration error, may lie beside its value.
        found |= {
            name: Estimate(value := values[name], min(low[i], value), max(high[i], value))
            for i, name in enumerate(names)
        }
    return {name: found[name] for name in values}


def every_estimate(statistics: Statistics) -> dict[str, Estimate]:
    """Return each metric of all the examples with its 95% confidence interval."""
    return estimates(statistics, np.arange(len(statistics)), ConfidenceSettings())


def difference(
    statistics: Statistics, higher: Positions, lower: Positions, name: str, confidence: ConfidenceSettings
) -> tuple[float, float]:
    """Return the bootstrap interval (low, high) of the difference in the metric `name`: `higher` minus `lower`."""
    low, high = _bootstrap(statistics, [higher, lower], [name], confidence)
    return float(low[0]), float(high[0])


def paired_difference(
    one: Statistics, other: Statistics, name: str, confidence: ConfidenceSettings
) -> Estimate:
    """Return the metric `name` of `one` minus that of `other`, with its bootstrap interval.

    Both hold statistics of the same examples in the same order: two models' answers to one split. Every bootstrap
    sample contains the same examples for both, so that examples that are hard for both do not widen the interval.
    """
    every = np.arange(len(one))
    value = metrics_of(one, every)[name] - metrics_of(other, every)[name]
    if len(one) < 2:
        return Estimate(value, np.nan, np.nan)
    low, high = _percentiles(_paired_samples(one, other, name, confidence), confidence)
    return Estimate(value, float(low), float(high))


def difference_error(one: Statistics, other: Statistics, name: str) -> float:
    """Return one standard error of the difference of `paired_difference`, by the same bootstrap; 0 for one example."""
    if len(one) < 2:
        return 0.0
    found = _paired_samples(one, other, name, ConfidenceSettings(resamples=1000))
    found = found[np.isfinite(found)]
    return float(found.std()) if len(found) else 0.0


def _paired_samples(one: Statistics, other: Statistics, name: str, confidence: ConfidenceSettings) -> Floats:
    """Return the difference of the metric `name` in bootstrap samples with the same examples for both, (samples,)."""
    size, rng, found = len(one), np.random.default_rng(confidence.seed), []
    for done in range(0, confidence.resamples, _batch(size)):
        count = min(_batch(size), confidence.resamples - done)
        weights = _weights(rng.integers(size, size=(count, size)), size)
        found.append(one.metrics(weights)[name] - other.metrics(weights)[name])
    return np.concatenate(found)


def widest_gap_p_values(
    statistics: Statistics, slices: Sequence[Positions], confidence: ConfidenceSettings
) -> Mapping[str, float]:
    """Return, for each metric, the p-value of the widest gap between any two slices, by a permutation test.

    Examples are randomly reassigned to slices many times. The p-value is the share of reassignments whose widest gap is
    at least as wide as the observed one. The widest gap is taken from every reassignment too, so the test allows for
    the fact that the two slices were chosen because they are furthest apart.
    """
    examples = np.concatenate(list(slices))
    own = np.concatenate([np.full(len(positions), number) for number, positions in enumerate(slices)])
    names: list[str] = []

    def gaps(slice_numbers: Positions, axis: int = -1) -> Floats:
        """Return the widest gap of each metric, (samples, metrics).

        `slice_numbers` holds the number of the slice that each example is assigned to, (samples, examples).
        """
        del axis
        values = [
            statistics.metrics(_placed(slice_numbers == number, examples, len(statistics)))
            for number in range(len(slices))
        ]
        names[:] = values[0]
        stacked = np.array(
            [[value[name] for name in names] for value in values]
        )  # (slices, metrics, samples)
        spread: Floats = np.asarray(_largest(stacked) - _smallest(stacked)).T
        return spread if slice_numbers.ndim > 1 else spread[0]

    found = permutation_test(
        (own,), gaps, permutation_type="pairings", vectorized=True, alternative="greater",
        n_resamples=confidence.resamples, batch=_batch(len(statistics)), rng=confidence.seed,
    )  # fmt: skip
    return dict(zip(names, np.atleast_1d(found.pvalue).astype(float), strict=True))


def wilson(right: int, examples: int, confidence: ConfidenceSettings) -> tuple[float, float]:
    """Return Wilson's confidence interval (low, high) of the proportion `right` / `examples`."""
    interval = binomtest(right, examples).proportion_ci(confidence.level, method="wilson")
    return float(interval.low), float(interval.high)


def _share_sizes(statistics: Statistics, positions: Positions) -> dict[str, int]:
    """Return, for each metric that is a proportion, the number of examples at `positions` over which it is computed."""
    partial_shares = statistics.part_shares if isinstance(statistics, SummedStatistics) else {}
    return {
        **dict.fromkeys(statistics.shares, len(positions)),
        **{name: int(part[positions].sum()) for name, part in partial_shares.items()},
    }


def _bootstrap(
    statistics: Statistics, groups: Sequence[Positions], names: Sequence[str], confidence: ConfidenceSettings
) -> tuple[Floats, Floats]:
    """Return the bootstrap interval of metrics, as arrays of lower and upper ends, (metrics,) each.

    With one group of positions, the interval is that of the group's metrics. With two groups, it is that of the first
    group's metrics minus the second group's. The ends are nan if a group has fewer than two examples, or if the
    interval would have no width: the examples are too few or too alike to say how far the metric varies.
    """
    if min(map(len, groups)) < 2:
        nothing = np.full(len(names), np.nan)
        return nothing, nothing

    def statistic(*samples: Positions, axis: int = -1) -> Floats:
        del axis
        first, *rest = (_values(statistics, sample, names) for sample in samples)
        return first - rest[0] if rest else first

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)  # a constant metric: nan below
        found = bootstrap(
            tuple(groups), statistic, vectorized=True, method="percentile", confidence_level=confidence.level,
            n_resamples=confidence.resamples, batch=_batch(len(statistics)), rng=confidence.seed,
        ).bootstrap_distribution  # fmt: skip
        low, high = _percentiles(found, confidence)
        known = high - low > _NO_WIDTH
        return np.where(known, low, np.nan), np.where(known, high, np.nan)


def _percentiles(found: Floats, confidence: ConfidenceSettings) -> tuple[Floats, Floats]:
    """Return the percentile interval of bootstrap samples `found`, (…, samples), as its lower and upper ends.

    A metric can be nan on some samples, such as F1 if no example has a label; these samples are ignored.
    """
    tail = 100 * (1 - confidence.level) / 2
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)  # undefined on every sample
        low, high = np.nanpercentile(found, [tail, 100 - tail], axis=-1)
    return low, high


def _values(statistics: Statistics, samples: Positions, names: Sequence[str]) -> Floats:
    """Return the metrics `names`, computed on samples of examples that are given by their positions.

    If `samples` has the shape (number of samples, examples in each), the result has the shape (number of metrics,
    number of samples). For one sample, of the shape (examples,), the result has the shape (number of metrics,).
    """
    values = statistics.metrics(_weights(np.atleast_2d(samples), len(statistics)))
    stacked = np.array([values[name] for name in names])
    return stacked if samples.ndim > 1 else stacked[:, 0]


def _weights(samples: Positions, examples: int) -> NDArray[np.int64]:
    """Return how often each sample contains each example, int64 (samples, examples).

    `samples`, (samples, size), holds the positions of each sample's examples.
    """
    flat = samples + examples * np.arange(len(samples))[:, None]
    counts = np.bincount(flat.ravel(), minlength=len(samples) * examples)
    return counts.reshape(len(samples), examples)


def _placed(chosen: NDArray[np.bool_], examples: Positions, total: int) -> NDArray[np.int64]:
    """Return the weight, 0 or 1, of each of `total` examples in each sample: int64 (samples, total).

    `chosen`, (samples, examples), says which of the examples at the positions `examples` a sample contains; all other
    examples get 0.
    """
    weights = np.zeros((len(np.atleast_2d(chosen)), total), dtype=np.int64)
    weights[:, examples] = chosen
    return weights


def _batch(examples: int) -> int:
    return max(1, _CELLS_AT_A_TIME // examples)


def _largest(stacked: Floats) -> Floats:
    return np.asarray(np.fmax.reduce(stacked, axis=0))


def _smallest(stacked: Floats) -> Floats:
    return np.asarray(np.fmin.reduce(stacked, axis=0))
