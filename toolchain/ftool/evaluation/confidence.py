"""How far metrics of few examples can be trusted: intervals, and whether a gap is more than chance.

Shares of examples, or of some of them, get Wilson's interval (Wilson 1927) by the number they are shares of; it holds
near 0 and 1 and for few examples. All other metrics get the percentile bootstrap (Efron 1979). Both take examples for
independent of each other.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import DegenerateDataWarning, binomtest, bootstrap, permutation_test

from ftool.evaluation.per_example import Floats, Outcomes, SummedOutcomes

Positions = NDArray[np.int64]

_CELLS_AT_A_TIME = 2_000_000  # of weights, samples by examples: 16 MB


@dataclass(frozen=True, kw_only=True)
class Chance:
    """How chance is told: what intervals hold, from how many samples, and the seed they are drawn with."""

    confidence: float = 0.95
    resamples: int = 2000
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        """As reports give it."""
        return {
            "confidence": self.confidence,
            "resamples": self.resamples,
            "seed": self.seed,
            "intervals": "Wilson for shares of examples, percentile bootstrap for the rest",
            "gaps": "permutation test of the widest gap between any two slices",
        }


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric with its interval; nan where the examples give none."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float | None]:
        """Plain JSON, None for nan."""
        return {name: finite(getattr(self, name)) for name in ("value", "low", "high")}


def finite(value: float) -> float | None:
    """A number as JSON has them."""
    return float(value) if np.isfinite(value) else None


def metrics_of(outcomes: Outcomes, positions: Positions) -> dict[str, float]:
    """The metrics of the examples at `positions`."""
    values = outcomes.metrics(_weights(positions[None], len(outcomes)))
    return {name: float(value[0]) for name, value in values.items()}


def estimates(outcomes: Outcomes, positions: Positions, chance: Chance) -> dict[str, Estimate]:
    """Each metric of the examples at `positions` with its interval."""
    values = metrics_of(outcomes, positions)
    sizes = _share_sizes(outcomes, positions)
    names = [name for name in values if name not in sizes]
    found = {
        name: Estimate(values[name], *wilson(round(values[name] * size), size, chance))
        if size
        else Estimate(np.nan, np.nan, np.nan)
        for name, size in sizes.items()
    }
    if names:
        low, high = _bootstrap(outcomes, [positions], names, chance)
        found |= {name: Estimate(values[name], low[i], high[i]) for i, name in enumerate(names)}
    return {name: found[name] for name in values}


def difference(
    outcomes: Outcomes, higher: Positions, lower: Positions, name: str, chance: Chance
) -> tuple[float, float]:
    """The bootstrap interval of how much higher a metric is on some examples than on others, low and high."""
    low, high = _bootstrap(outcomes, [higher, lower], [name], chance)
    return float(low[0]), float(high[0])


def widest_gap_p_values(
    outcomes: Outcomes, slices: Sequence[Positions], chance: Chance
) -> Mapping[str, float]:
    """By metric: how often as wide a gap between any two slices comes of dealing their examples out at random.

    That the two slices furthest apart were picked from all is thereby allowed for.
    """
    examples = np.concatenate(list(slices))
    own = np.concatenate([np.full(len(positions), number) for number, positions in enumerate(slices)])
    names: list[str] = []

    def gaps(dealt: Positions, axis: int = -1) -> Floats:
        """(samples, metrics) for `dealt` (samples, examples), the number of each example's slice."""
        del axis
        values = [
            outcomes.metrics(_placed(dealt == number, examples, len(outcomes)))
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
        n_resamples=chance.resamples, batch=_batch(len(outcomes)), rng=chance.seed,
    )  # fmt: skip
    return dict(zip(names, np.atleast_1d(found.pvalue).astype(float), strict=True))


def wilson(right: int, examples: int, chance: Chance) -> tuple[float, float]:
    """Wilson's interval of a share."""
    interval = binomtest(right, examples).proportion_ci(chance.confidence, method="wilson")
    return float(interval.low), float(interval.high)


def _share_sizes(outcomes: Outcomes, positions: Positions) -> dict[str, int]:
    """By metric that is a share: of how many of the examples at `positions`."""
    of_some = outcomes.part_shares if isinstance(outcomes, SummedOutcomes) else {}
    return {
        **dict.fromkeys(outcomes.shares, len(positions)),
        **{name: int(part[positions].sum()) for name, part in of_some.items()},
    }


def _bootstrap(
    outcomes: Outcomes, groups: Sequence[Positions], names: Sequence[str], chance: Chance
) -> tuple[Floats, Floats]:
    """Low and high (metrics,), of one group's metrics or of the first's less the second's; nan for a single example."""
    if min(map(len, groups)) < 2:
        nothing = np.full(len(names), np.nan)
        return nothing, nothing

    def statistic(*samples: Positions, axis: int = -1) -> Floats:
        del axis
        first, *rest = (_values(outcomes, sample, names) for sample in samples)
        return first - rest[0] if rest else first

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)  # answered below
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)  # a metric that this slice lacks
        found = bootstrap(
            tuple(groups), statistic, vectorized=True, method="percentile", confidence_level=chance.confidence,
            n_resamples=chance.resamples, batch=_batch(len(outcomes)), rng=chance.seed,
        ).bootstrap_distribution  # fmt: skip
        # A sample may have no value (F1 without a label to find), which would make an interval of nan.
        tail = 100 * (1 - chance.confidence) / 2
        low, high = np.nanpercentile(found, [tail, 100 - tail], axis=-1)
    return low, high


def _values(outcomes: Outcomes, samples: Positions, names: Sequence[str]) -> Floats:
    """(metrics, samples) for `samples` (samples, examples), or (metrics,) for one."""
    values = outcomes.metrics(_weights(np.atleast_2d(samples), len(outcomes)))
    stacked = np.array([values[name] for name in names])
    return stacked if samples.ndim > 1 else stacked[:, 0]


def _weights(samples: Positions, examples: int) -> NDArray[np.int64]:
    """How often each sample (samples, size) has each example: (samples, examples)."""
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
