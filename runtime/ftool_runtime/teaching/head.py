"""`Head`: the logits of a model with lessons, from the graph's logits and features."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Head:
    """The labels of a model and what lessons have added to their logits.

    Attributes:
        labels: the model's labels: the bundle's, and then those that were taught.
        known: how many of them are the bundle's.
        thresholds: in multi-label models, the probability from which each label applies; otherwise None.
        columns: the indices of the labels that were taught, int64 (taught,).
        rows: what is added to their logits: weights of the features and a bias, float64 (taught, features + 1).
    """

    labels: tuple[str, ...]
    known: int
    thresholds: tuple[float, ...] | None
    columns: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    rows: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 1)))

    def logits(self, outputs: Sequence[NDArray[np.float32]] | NDArray[np.float32]) -> NDArray[np.float32]:
        """Return logits, float32 (inputs, labels), from the graph's logits and features, in one array.

        The logits of labels that were not taught are the graph's, bit by bit. A row is computed by itself, so that it
        does not depend on the other rows.
        """
        values = np.asarray(outputs)
        graph = values[:, : self.known]
        if len(self.columns) == 0:
            return graph
        result = np.zeros((len(values), len(self.labels)), np.float32)
        result[:, : self.known] = graph
        for row, features in zip(result, values[:, self.known :].astype(np.float64), strict=True):
            row[self.columns] += (self.rows[:, :-1] @ features + self.rows[:, -1]).astype(np.float32)
        return result
