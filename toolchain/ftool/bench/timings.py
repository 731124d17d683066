"""`Timings`: all measurements of one engine, with percentiles and their intervals."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ftool.bench.engines import Engine

PERCENTILES = (50, 90, 95, 99, 99.9)
_QUANTILES = 101  # of all latencies, kept in a report to draw their distribution
_NORMAL_95 = 1.96  # standard errors of a 95% interval

Rounds = Sequence[Sequence[float]]  # a list of values for each round


@dataclass(kw_only=True)
class Timings:
    """All measurements of one engine; lists have one entry per round."""

    engine: Engine
    latencies_ms: list[list[float]] = field(default_factory=list)
    first_ms: list[list[float]] = field(default_factory=list)  # to the first token; generators only
    tokens: list[list[int]] = field(default_factory=list)  # lengths of the answers; generators only
    served_ms: list[list[float]] = field(default_factory=list)  # of texts that arrive at random
    throughput_per_s: list[float] = field(default_factory=list)
    cold_start_ms: list[float] = field(default_factory=list)
    waiting_cpu: list[float] = field(default_factory=list)  # cores used during the other engines' turns
    peak_memory_mb: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)
    # By number of tokens: latencies of texts of this length, of generators to the first token. By number of texts in a
    # call: the mean time of a call. By both: the peak memory of a process that has answered only such texts or calls.
    length_ms: dict[int, list[list[float]]] = field(default_factory=dict)
    length_memory_mb: dict[int, float] = field(default_factory=dict)
    batch_ms: dict[int, list[float]] = field(default_factory=dict)
    batch_memory_mb: dict[int, float] = field(default_factory=dict)

    def percentiles_ms(self) -> dict[str, float]:
        """Return latency percentiles over all rounds, in milliseconds, under "p50", "p90", "p95", "p99", "p99.9"."""
        return _percentiles(self.latencies_ms)

    def quantiles_ms(self) -> list[float]:
        """Return the latencies of all rounds as 101 quantiles in milliseconds, from the shortest to the longest.

        They have four significant digits: enough to draw the distribution from a report.
        """
        found = np.quantile(_pooled(self.latencies_ms), np.linspace(0, 1, _QUANTILES))
        return [float(f"{one:.4g}") for one in found]

    def served_percentiles_ms(self) -> dict[str, float]:
        """Return percentiles of the server scenario, as `percentiles_ms` does; {} if it was left out."""
        return _percentiles(self.served_ms) if self.served_ms else {}

    def percentile_intervals_ms(self) -> dict[str, tuple[float, float] | None]:
        """Return a 95% interval of each percentile, in milliseconds; None if there are too few latencies for one."""
        return {f"p{one}": percentile_interval(self.latencies_ms, one) for one in PERCENTILES}

    def generation(self) -> dict[str, float]:
        """Return a generator's `tokens_per_s`, and the medians `first_token_ms` and `per_token_ms` (later tokens).

        Returns {} for models that are not generators.
        """
        if not self.tokens:
            return {}
        whole, first, tokens = (_pooled(one) for one in (self.latencies_ms, self.first_ms, self.tokens))
        return {
            "first_token_ms": float(np.median(first)),
            "per_token_ms": float(np.median((whole - first) / np.maximum(tokens - 1, 1))),
            "tokens_per_s": float(1e3 * tokens.sum() / whole.sum()),
        }

    def round_p50_ms(self) -> list[float]:
        """Return the median latency of each round in milliseconds."""
        return medians(self.latencies_ms)


def medians(rounds: Rounds) -> list[float]:
    """Return the median of each round."""
    return [statistics.median(one) for one in rounds]


def percentile_interval(rounds: Rounds, percentile: float) -> tuple[float, float] | None:
    """Return a 95% interval of a percentile, from 0 to 100, of the values of all rounds; None if they are too few.

    The ends are order statistics, chosen by the binomial distribution of the number of values below the percentile
    (normal approximation: Conover 1999, Practical Nonparametric Statistics, section 3.2).
    """
    ordered = np.sort(_pooled(rounds))
    share, count = percentile / 100, ordered.size
    half = _NORMAL_95 * (count * share * (1 - share)) ** 0.5
    low, high = int(np.floor(count * share - half)), int(np.ceil(count * share + half))
    inside = low >= 1 and high <= count
    return (float(ordered[low - 1]), float(ordered[high - 1])) if inside else None


def _percentiles(rounds: Rounds) -> dict[str, float]:
    pooled = _pooled(rounds)
    return {f"p{p}": float(np.percentile(pooled, p)) for p in PERCENTILES}


def _pooled(rounds: Rounds) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    return np.concatenate([np.asarray(one, dtype=np.float64) for one in rounds])
