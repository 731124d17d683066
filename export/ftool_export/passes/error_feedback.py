"""Round weights so that the errors of a product's inputs cancel out on real activations (Frantar et al. 2023, GPTQ).

Rounding to the nearest level minimises the error of each weight. But the inputs of a product are correlated, so the
error that one weight causes in the output can be corrected by the weights that are not yet rounded. With the matrix
H = XᵀX of the product's inputs X, the inputs are rounded in order of their size; after each, its error is spread over
the remaining inputs by the Cholesky factor of H⁻¹. The graph that runs is the same, so it is equally fast.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FARTHEST: Final = (
    1.5  # steps between a weight and its level: the nearest level, or one of that level's neighbours
)
_DAMPING: Final = 0.01  # share of H's mean diagonal that is added to the diagonal, as in GPTQ
_AT_ONCE: Final = 128  # inputs whose errors are spread over all later inputs together


def round_with_feedback(
    weight: NDArray[Any], scale: NDArray[np.float32], lowest: int, highest: int, gram: NDArray[np.float32]
) -> NDArray[np.int8]:
    """Return the level of each weight.

    Args:
        weight: float (inputs, outputs).
        scale: the size of a step of each weight, float32 (inputs, outputs) or of a shape that broadcasts to it.
        lowest: the smallest level.
        highest: the largest level.
        gram: XᵀX of the product's inputs X on real examples, up to a factor; float32 (inputs, inputs).

    Returns:
        int8 (inputs, outputs). A level times its scale differs from the weight by at most 1.5 steps, except where the
        weight lies outside the range of the levels.
    """
    order = np.argsort(-np.diagonal(gram), kind="stable")
    spread = _spread(gram[np.ix_(order, order)].astype(np.float64))
    steps = np.broadcast_to(scale, weight.shape)[order].astype(np.float64)
    values = np.asarray(weight, dtype=np.float64)[order]
    nearest = np.rint(values / steps)
    low, high = (np.clip(nearest + side, lowest, highest) for side in (-1, 1))
    levels = np.empty(weight.shape, dtype=np.int8)
    for start in range(0, len(values), _AT_ONCE):
        stop = min(start + _AT_ONCE, len(values))
        errors = np.empty((stop - start, weight.shape[1]))
        for place in range(start, stop):
            level = np.clip(np.rint(values[place] / steps[place]), low[place], high[place])
            levels[order[place]] = level
            error = (values[place] - level * steps[place]) / spread[place, place]
            values[place + 1 : stop] -= spread[place, place + 1 : stop, None] * error
            errors[place - start] = error
        values[stop:] -= spread[start:stop, stop:].T @ errors
    return levels


def _spread(gram: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the upper Cholesky factor of the damped matrix's inverse, float64 (inputs, inputs)."""
    damping = _DAMPING * (float(np.diagonal(gram).mean()) or 1.0)
    inverse = np.linalg.inv(gram + damping * np.eye(len(gram)))
    return np.asarray(np.linalg.cholesky((inverse + inverse.T) / 2).T, dtype=np.float64)
