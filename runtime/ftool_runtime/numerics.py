"""Softmax and its logarithm of one row of scores."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def log_softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """The logarithm of the softmax over the last axis, float32; summed in float64."""
    shifted = scores - scores.max(axis=-1, keepdims=True)
    total = np.exp(shifted).sum(axis=-1, keepdims=True, dtype=np.float64)
    return shifted - np.log(total).astype(np.float32)  # type: ignore[no-any-return]


def softmax(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """The softmax over the last axis, float64."""
    exponentials = np.exp(scores.astype(np.float64) - scores.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)  # type: ignore[no-any-return]
