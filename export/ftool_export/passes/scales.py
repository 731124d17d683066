"""Compute the scale of symmetric quantisation."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

# Smaller scales are denormal: they have fewer bits, and a division by one may overflow.
_SMALLEST: Final = float(np.finfo(np.float32).tiny)


def symmetric_scale(largest: NDArray[Any], levels: int) -> NDArray[np.float32]:
    """Return the value of one integer step, `largest / levels`, float32 of the same shape; 1 if all values are 0."""
    scale = np.asarray(largest, dtype=np.float64) / levels
    return np.where(scale >= _SMALLEST, scale, 1.0).astype(np.float32)
