"""Per-example statistics from which the metrics of any subset can be computed.

Confidence intervals need the metrics of thousands of samples of the examples. A sample is an array of weights, one for
each example: how often the sample contains the example. A slice has weights 0 and 1; a bootstrap sample contains some
examples more than once.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack

Floats = NDArray[np.float64]
Formula = Callable[[Mapping[str, Floats]], Mapping[str, Floats]]


class Statistics(Protocol):
    """Interface of per-example statistics, which `SummedStatistics` and `RecomputedStatistics` implement."""

    @property
    def main(self) -> str:
        """The name of the main metric."""

    @property
    def shares(self) -> Sequence[str]:
        """The names of the metrics that are proportions of all examples, such as accuracy."""

    def __len__(self) -> int:
        """The number of examples."""

    def metrics(self, weights: NDArray[np.int64]) -> Mapping[str, Floats]:
        """Return the metrics of samples by name, float64 (samples,) each; nan where a metric is undefined.

        `weights`, int64 (samples, examples), says how often each sample contains each example.
        """


class SummedStatistics:
    """Statistics for metrics that are computed from sums over the examples: means, F1 from counts, BLEU from n-grams.

    `parts` maps names to arrays, (examples,) or (examples, width), dense or sparse. `formula` returns the metrics from
    a mapping that holds the sum of each part under the part's name, float64 (samples, width), and the number of
    examples under "examples", (samples, 1). `shares` names the metrics that are proportions of all examples.
    `part_shares` maps the metrics that are proportions of some of the examples to masks of these examples, bool
    (examples,).
    """

    def __init__(
        self,
        parts: Mapping[str, Any],
        formula: Formula,
        *,
        main: str,
        shares: Sequence[str] = (),
        part_shares: Mapping[str, NDArray[np.bool_]] | None = None,
    ) -> None:
        columns = [_column(part) for part in parts.values()]
        columns.append(csr_array(np.ones((columns[0].shape[0], 1))))
        edges = np.cumsum([0, *(column.shape[1] for column in columns)])
        names = [*parts, "examples"]
        self.main, self.shares = main, shares
        self.part_shares = dict(part_shares or {})
        self._formula = formula
        self._table = csr_array(hstack(columns))
        self._spans = {name: slice(edges[i], edges[i + 1]) for i, name in enumerate(names)}

    def __len__(self) -> int:
        return int(self._table.shape[0])

    def metrics(self, weights: NDArray[np.int64]) -> Mapping[str, Floats]:
        """Return the metrics of samples by name, float64 (samples,) each; `weights` is int64 (samples, examples)."""
        totals = np.asarray(weights @ self._table, dtype=np.float64)  # (samples, width)
        with np.errstate(divide="ignore", invalid="ignore"):  # empty subsets give nan
            return self._formula({name: totals[:, span] for name, span in self._spans.items()})


class RecomputedStatistics:
    """Statistics for metrics that must be recomputed from the examples of every sample, such as rank correlations.

    This is slower than `SummedStatistics`. `measure` takes the positions of a sample's examples, an int64 array (n,) in
    which positions may be repeated, and returns the value of each metric by the metric's name.
    """

    def __init__(
        self,
        examples: int,
        measure: Callable[[NDArray[np.int64]], Mapping[str, float]],
        *,
        main: str,
    ) -> None:
        self.main, self.shares = main, ()
        self._positions = np.arange(examples)
        self._measure = measure

    def __len__(self) -> int:
        return len(self._positions)

    def metrics(self, weights: NDArray[np.int64]) -> Mapping[str, Floats]:
        """Return the metrics of samples by name, float64 (samples,) each; `weights` is int64 (samples, examples)."""
        samples = [self._measure(np.repeat(self._positions, row)) for row in weights]
        return {name: np.array([sample[name] for sample in samples]) for name in samples[0]}


def with_main(statistics: Statistics, main: str | None) -> Statistics:
    """Return statistics whose main metric is `main`; unchanged if `main` is None or is not among their metrics."""
    if (
        main is None
        or not len(statistics)
        or main not in statistics.metrics(np.ones((1, len(statistics)), np.int64))
    ):
        return statistics
    renamed: Any = copy.copy(statistics)
    renamed.main = main
    return cast(Statistics, renamed)


def averaged(values: Mapping[str, Any], *, main: str, shares: Sequence[str] = ()) -> SummedStatistics:
    """Return statistics for metrics that are means over examples; `values` maps metrics to arrays (examples,).

    `main` names the main metric; `shares` names the metrics that are proportions, whose values are all 0 or 1.
    """

    def means(totals: Mapping[str, Floats]) -> Mapping[str, Floats]:
        return {name: totals[name][:, 0] / totals["examples"][:, 0] for name in values}

    return SummedStatistics(values, means, main=main, shares=shares)


def _column(part: Any) -> Any:
    if hasattr(part, "tocsr"):
        return part.tocsr()
    array = np.asarray(part, dtype=np.float64)
    return csr_array(array[:, None] if array.ndim == 1 else array)
