"""Percentiles of measured times."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles of a time, such as that of one call on one text, tokenising included, in milliseconds."""

    p50: float
    p90: float
    p95: float
    p99: float

    @classmethod
    def of(cls, latencies_ms: Sequence[float]) -> "Latency":
        """The percentiles of measured times, in milliseconds."""
        return cls(*(round(float(value), 4) for value in np.percentile(latencies_ms, (50, 90, 95, 99))))
