"""The scale of symmetric quantisation."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_SMALLEST: Final = float(
    np.finfo(np.float32).tiny
)  # below it numbers lose bits, and a division by one may overflow


def symmetric_scale(largest: NDArray[Any], levels: int) -> NDArray[np.float32]:
    """What one level stands for, so that the largest absolute value is the last of `levels`; 1 where all are 0."""
    scale = np.asarray(largest, dtype=np.float64) / levels
    return np.where(scale >= _SMALLEST, scale, 1.0).astype(np.float32)
