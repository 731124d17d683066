"""Per-example statistics from which the metrics of any subset can be computed.

Confidence intervals need the metrics of thousands of samples, so a sample is given as weights, one an example: a slice
has weights 0 and 1, a bootstrap sample counts some examples twice.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack

Floats = NDArray[np.float64]
Formula = Callable[[Mapping[str, Floats]], Mapping[str, Floats]]


class Statistics(Protocol):
    """Statistics of some examples; `SummedStatistics` and `RecomputedStatistics` are two kinds."""

    @property
    def main(self) -> str:
        """The name of the main metric."""

    @property
    def shares(self) -> Sequence[str]:
        """The metrics that are shares of the examples, each example counting 0 or 1."""

    def __len__(self) -> int:
        """The number of examples."""

    def metrics(self, weights: NDArray[np.int64]) -> Mapping[str, Floats]:
        """The metrics of samples, (samples,) each; nan if a sample lacks one. `weights` is (samples, examples)."""


class SummedStatistics:
    """Metrics computed from sums over the examples, as most metrics are: means, F1 from counts, BLEU from n-grams.

    `parts` has by name an array (examples,) or (examples, width), dense or sparse; `formula` gets by the same names
    their sums, float64 (samples, width), beside `"examples"`, how many there are (samples, 1). `part_shares` has the
    metrics that are shares of some of the examples, each with which ones, bool (examples,).
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
        """The metrics of each row of weights."""
        totals = np.asarray(weights @ self._table, dtype=np.float64)  # (samples, width)
        with np.errstate(divide="ignore", invalid="ignore"):  # empty subsets give nan
            return self._formula({name: totals[:, span] for name, span in self._spans.items()})


class RecomputedStatistics:
    """Metrics recomputed from the examples for every sample, such as rank correlations: slower.

    `measure` takes positions, int (n,), of which some may come several times.
    """

    def __init__(
        self,
        examples: int,
        measure: Callable[[NDArray[np.int64]], Mapping[str, float]],
        *,
        main: str,
        shares: Sequence[str] = (),
    ) -> None:
        self.main, self.shares = main, shares
        self._positions = np.arange(examples)
        self._measure = measure

    def __len__(self) -> int:
        return len(self._positions)

    def metrics(self, weights: NDArray[np.int64]) -> Mapping[str, Floats]:
        """The metrics of each row of weights."""
        samples = [self._measure(np.repeat(self._positions, row)) for row in weights]
        return {name: np.array([sample[name] for sample in samples]) for name in samples[0]}


def averaged(values: Mapping[str, Any], *, main: str, shares: Sequence[str] = ()) -> SummedStatistics:
    """Metrics that are means over the examples: by name, the value of each example (examples,)."""

    def means(totals: Mapping[str, Floats]) -> Mapping[str, Floats]:
        return {name: totals[name][:, 0] / totals["examples"][:, 0] for name in values}

    return SummedStatistics(values, means, main=main, shares=shares)


def _column(part: Any) -> Any:
    if hasattr(part, "tocsr"):
        return part.tocsr()
    array = np.asarray(part, dtype=np.float64)
    return csr_array(array[:, None] if array.ndim == 1 else array)
