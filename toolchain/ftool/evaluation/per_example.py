"""What a model did on each example, in the form that metrics of any part of the examples are computed from.

Intervals and tests of chance ask for the metrics of thousands of samples, so they are given as weights: how often each
example counts. A slice is 0 and 1, a bootstrap sample counts some examples twice.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack

Floats = NDArray[np.float64]
Formula = Callable[[Mapping[str, Floats]], Mapping[str, Floats]]


class Outcomes(Protocol):
    """What a task hands over to have its metrics sliced; `SummedOutcomes` and `RepeatedOutcomes` are two ways."""

    @property
    def main(self) -> str:
        """The name of the metric that decides."""

    @property
    def shares(self) -> Sequence[str]:
        """The metrics that are shares of the examples, each example counting 0 or 1."""

    def __len__(self) -> int:
        """How many examples there are."""

    def metrics(self, weights: NDArray[np.int64]) -> Mapping[str, Floats]:
        """The metrics of samples: each (samples,) for `weights` (samples, examples); nan where there is none."""


class SummedOutcomes:
    """Metrics that follow from sums over the examples, as nearly all do: means, F1 from counts, BLEU from n-grams.

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
        with np.errstate(divide="ignore", invalid="ignore"):  # nan is what there is to say of nothing
            return self._formula({name: totals[:, span] for name, span in self._spans.items()})


class RepeatedOutcomes:
    """Metrics that need the examples themselves, such as rank correlations: slower, one call a sample.

    `measure` gets positions, int (n,), of which some may be there several times.
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


def averaged(values: Mapping[str, Any], *, main: str, shares: Sequence[str] = ()) -> SummedOutcomes:
    """Metrics that are means over the examples: by name, the value of each example (examples,)."""

    def means(totals: Mapping[str, Floats]) -> Mapping[str, Floats]:
        return {name: totals[name][:, 0] / totals["examples"][:, 0] for name in values}

    return SummedOutcomes(values, means, main=main, shares=shares)


def _column(part: Any) -> Any:
    if hasattr(part, "tocsr"):
        return part.tocsr()
    array = np.asarray(part, dtype=np.float64)
    return csr_array(array[:, None] if array.ndim == 1 else array)
