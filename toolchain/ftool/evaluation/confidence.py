"""Confidence intervals of metrics, and tests whether a gap between slices is larger than expected by chance.

Shares of examples, or of some of them, have Wilson's interval (Wilson 1927) by the number they are shares of; it holds
near 0 and 1 and for few examples. All other metrics have that of the percentile bootstrap (Efron 1979). Both assume
that examples are independent.
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


@dataclass(frozen=True, kw_only=True)
class ConfidenceSettings:
    """Settings for confidence intervals and significance tests."""

    level: float = 0.95  # of the intervals
    resamples: int = 2000
    seed: int = 0  # of the resamples

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
    """A metric with its interval; nan if the examples give none."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float | None]:
        """Return plain JSON, with None for nan."""
        return {name: finite(getattr(self, name)) for name in ("value", "low", "high")}


def finite(value: float) -> float | None:
    """Return a number for JSON: None for nan."""
    return float(value) if np.isfinite(value) else None


def metrics_of(statistics: Statistics, positions: Positions) -> dict[str, float]:
    """Return the metrics of the examples at `positions`."""
    values = statistics.metrics(_weights(positions[None], len(statistics)))
    return {name: float(value[0]) for name, value in values.items()}


def estimates(
    statistics: Statistics, positions: Positions, confidence: ConfidenceSettings
) -> dict[str, Estimate]:
    """Return each metric of the examples at `positions` with its interval."""
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
        found |= {name: Estimate(values[name], low[i], high[i]) for i, name in enumerate(names)}
    return {name: found[name] for name in values}


def difference(
    statistics: Statistics, higher: Positions, lower: Positions, name: str, confidence: ConfidenceSettings
) -> tuple[float, float]:
    """Return the bootstrap interval, low and high, of the difference of a metric between two groups of examples."""
    low, high = _bootstrap(statistics, [higher, lower], [name], confidence)
    return float(low[0]), float(high[0])


def widest_gap_p_values(
    statistics: Statistics, slices: Sequence[Positions], confidence: ConfidenceSettings
) -> Mapping[str, float]:
    """Return by metric how often randomly reassigned examples give an equally wide gap between any two slices.

    This allows for the choice of the two slices that are furthest apart.
    """
    examples = np.concatenate(list(slices))
    own = np.concatenate([np.full(len(positions), number) for number, positions in enumerate(slices)])
    names: list[str] = []

    def gaps(dealt: Positions, axis: int = -1) -> Floats:
        """(samples, metrics) for `dealt` (samples, examples), the number of each example's slice."""
        del axis
        values = [
            statistics.metrics(_placed(dealt == number, examples, len(statistics)))
            for number in range(len(slices))
        ]
        names[:] = values[0]
        stacked = np.array(
            [[value[name] for name in names] for value in values]
        )  # (slices, metrics, samples)
        spread: Floats = np.asarray(_largest(stacked) - _smallest(stacked)).T
        return spread if dealt.ndim > 1 else spread[0]

    found = permutation_test(
        (own,), gaps, permutation_type="pairings", vectorized=True, alternative="greater",
        n_resamples=confidence.resamples, batch=_batch(len(statistics)), rng=confidence.seed,
    )  # fmt: skip
    return dict(zip(names, np.atleast_1d(found.pvalue).astype(float), strict=True))


def wilson(right: int, examples: int, confidence: ConfidenceSettings) -> tuple[float, float]:
    """Wilson's interval of a share."""
    interval = binomtest(right, examples).proportion_ci(confidence.level, method="wilson")
    return float(interval.low), float(interval.high)


def _share_sizes(statistics: Statistics, positions: Positions) -> dict[str, int]:
    """Return for each metric that is a share its denominator: the number of its examples among `positions`."""
    of_some = statistics.part_shares if isinstance(statistics, SummedStatistics) else {}
    return {
        **dict.fromkeys(statistics.shares, len(positions)),
        **{name: int(part[positions].sum()) for name, part in of_some.items()},
    }


def _bootstrap(
    statistics: Statistics, groups: Sequence[Positions], names: Sequence[str], confidence: ConfidenceSettings
) -> tuple[Floats, Floats]:
    """Low and high, (metrics,) each, of one group's metrics or of two groups' difference; nan for a single example."""
    if min(map(len, groups)) < 2:
        nothing = np.full(len(names), np.nan)
        return nothing, nothing

    def statistic(*samples: Positions, axis: int = -1) -> Floats:
        del axis
        first, *rest = (_values(statistics, sample, names) for sample in samples)
        return first - rest[0] if rest else first

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)  # handled below
        warnings.filterwarnings(
            "ignore", "All-NaN slice", RuntimeWarning
        )  # a metric that this slice does not have
        found = bootstrap(
            tuple(groups), statistic, vectorized=True, method="percentile", confidence_level=confidence.level,
            n_resamples=confidence.resamples, batch=_batch(len(statistics)), rng=confidence.seed,
        ).bootstrap_distribution  # fmt: skip
        # A sample may have no value, such as F1 without a label to find; one would turn the interval into nan.
        tail = 100 * (1 - confidence.level) / 2
        low, high = np.nanpercentile(found, [tail, 100 - tail], axis=-1)
    return low, high


def _values(statistics: Statistics, samples: Positions, names: Sequence[str]) -> Floats:
    """(metrics, samples) for `samples` (samples, examples), or (metrics,) for one."""
    values = statistics.metrics(_weights(np.atleast_2d(samples), len(statistics)))
    stacked = np.array([values[name] for name in names])
    return stacked if samples.ndim > 1 else stacked[:, 0]


def _weights(samples: Positions, examples: int) -> NDArray[np.int64]:
    """Return how often each sample (samples, size) contains each example: (samples, examples)."""
    flat = samples + examples * np.arange(len(samples))[:, None]
    counts = np.bincount(flat.ravel(), minlength=len(samples) * examples)
    return counts.reshape(len(samples), examples)


def _placed(chosen: NDArray[np.bool_], examples: Positions, total: int) -> NDArray[np.int64]:
    """Weights (samples, total) of the `examples` that are chosen, (samples, examples)."""
    weights = np.zeros((len(np.atleast_2d(chosen)), total), dtype=np.int64)
    weights[:, examples] = chosen
    return weights


def _batch(examples: int) -> int:
    return max(1, _CELLS_AT_A_TIME // examples)


def _largest(stacked: Floats) -> Floats:
    return np.asarray(np.fmax.reduce(stacked, axis=0))


def _smallest(stacked: Floats) -> Floats:
    return np.asarray(np.fmin.reduce(stacked, axis=0))
