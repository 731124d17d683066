"""Softmax, log-softmax and sigmoid without overflow."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def softmax(scores: ArrayLike, axis: int = -1) -> NDArray[np.float64]:
    """Softmax along `axis`, float64; slices are independent of each other."""
    values = np.asarray(scores, np.float64)
    exponentials = np.exp(values - values.max(axis=axis, keepdims=True))
    return exponentials / exponentials.sum(axis=axis, keepdims=True)  # type: ignore[no-any-return]


def log_softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log-softmax over the last axis, float32; sums are float64."""
    shifted = scores - scores.max(axis=-1, keepdims=True)
    total = np.exp(shifted).sum(axis=-1, keepdims=True, dtype=np.float64)
    return shifted - np.log(total).astype(np.float32)  # type: ignore[no-any-return]


def sigmoid(scores: ArrayLike) -> NDArray[np.float64]:
    """The logistic function of each score, float64."""
    values = np.asarray(scores, np.float64)
    small = np.exp(-np.abs(values))  # can't overflow, because the exponent is not positive
    result: NDArray[np.float64] = np.where(values >= 0, 1.0, small) / (1.0 + small)
    return result
