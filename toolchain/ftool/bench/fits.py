"""Fit a cost as a polynomial of a size, and check the fit on each point that was left out of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy.optimize import nnls

_NAMES: Final = "abc"  # of the coefficients


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A point that a fit of all other points predicts. `error` is predicted / measured - 1."""

    size: int
    measured: float
    predicted: float

    @property
    def error(self) -> float:
        """How much larger the prediction is than what was measured, as a share; negative if it is smaller."""
        return self.predicted / self.measured - 1


@dataclass(frozen=True, kw_only=True)
class CostFit:
    """A cost as a + b·n, or a + b·n + c·n², of a size n.

    Attributes:
        coefficients: a, b and so on, each at least 0; empty if there are too few points.
        left_out: each point, with what a fit of the others predicts; empty if there are too few points. The smallest
            and the largest size are extrapolated, the others interpolated.
        points: the number of points.
        needed: the smallest number of points: one more than there are coefficients.
    """

    degree: int
    coefficients: tuple[float, ...]
    left_out: tuple[LeftOut, ...]
    points: int

    @property
    def needed(self) -> int:
        """The smallest number of points for a check: without the one left out, as many as there are coefficients."""
        return self.degree + 2

    @property
    def form(self) -> str:
        """The functional form, such as "a + b*n + c*n^2"."""
        powers = ("", "*n", "*n^2")
        return " + ".join(f"{_NAMES[power]}{powers[power]}" for power in range(self.degree + 1))

    def to_json(self) -> dict[str, Any]:
        """Return the fit as JSON values; `coefficients` is None if there are too few points."""
        named = {_NAMES[power]: value for power, value in enumerate(self.coefficients)}
        return {
            "form": self.form,
            "coefficients": named or None,
            "points": self.points,
            "points_needed": self.needed,
            "left_out": [
                {"n": one.size, "measured": one.measured, "predicted": one.predicted, "error": one.error}
                for one in self.left_out
            ],
        }


def fit_cost(sizes: Sequence[int], measured: Sequence[float], degree: int) -> CostFit:
    """Fit a cost, of which every value is above 0, by non-negative least squares of the relative errors.

    Relative errors, because a cost at the largest size can be a hundred times that at the smallest, and timings are
    equally exact in percent. Non-negative (Lawson and Hanson 1974, Solving Least Squares Problems, chapter 23), because
    no part of a cost is below 0.

    Args:
        sizes: the values of n, different from each other.
        measured: the cost at each size, in any unit.
        degree: 1 for a + b·n, 2 for a + b·n + c·n².
    """
    size, cost = np.asarray(sizes, dtype=np.float64), np.asarray(measured, dtype=np.float64)
    if len(size) < degree + 2:
        return CostFit(degree=degree, coefficients=(), left_out=(), points=len(size))
    left_out = []
    for place in range(len(size)):
        others = np.arange(len(size)) != place
        predicted = np.vander([size[place]], degree + 1, increasing=True) @ _solve(
            size[others], cost[others], degree
        )
        left_out.append(LeftOut(size=sizes[place], measured=measured[place], predicted=float(predicted[0])))
    coefficients = tuple(float(one) for one in _solve(size, cost, degree))
    return CostFit(degree=degree, coefficients=coefficients, left_out=tuple(left_out), points=len(size))


def _solve(size: Any, cost: Any, degree: int) -> Any:
    """Return the coefficients, float64 (degree + 1,), lowest power first."""
    terms = np.vander(size, degree + 1, increasing=True) / cost[:, None]
    scale = terms.max(axis=0)
    found, _ = nnls(terms / scale, np.ones(len(cost)))
    return found / scale
