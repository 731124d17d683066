"""Softmax, log-softmax and sigmoid without overflow."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def softmax(scores: ArrayLike, axis: int = -1) -> NDArray[np.float64]:
    """Return the softmax of `scores` along `axis`, float64 of the same shape."""
    values = np.asarray(scores, np.float64)
    exponentials = np.exp(values - values.max(axis=axis, keepdims=True))
    return exponentials / exponentials.sum(axis=axis, keepdims=True)  # type: ignore[no-any-return]


def log_softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the log-softmax of `scores` over the last axis, float32 of the same shape, computed with float64 sums."""
    shifted = scores - scores.max(axis=-1, keepdims=True)
    total = np.exp(shifted).sum(axis=-1, keepdims=True, dtype=np.float64)
    return shifted - np.log(total).astype(np.float32)  # type: ignore[no-any-return]


def sigmoid(scores: ArrayLike) -> NDArray[np.float64]:
    """Return the logistic function of each score, float64 of the same shape."""
    values = np.asarray(scores, np.float64)
    small = np.exp(-np.abs(values))  # can't overflow, because the exponent is not positive
    result: NDArray[np.float64] = np.where(values >= 0, 1.0, small) / (1.0 + small)
    return result


def float32_power(base: float, exponent: float) -> float | None:
    """Return a positive base to the power `exponent`, in float64; None if float32 can hold it only as 0 or infinity."""
    try:
        power = float(base) ** exponent
    except OverflowError:
        return None
    limits = np.finfo(np.float32)
    return power if float(limits.smallest_subnormal) <= power <= float(limits.max) else None
