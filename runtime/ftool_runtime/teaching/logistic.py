"""Fit one row of a linear head: logistic regression with offsets, by L-BFGS in numpy."""

from collections import deque
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.numerics import sigmoid

Vector = NDArray[np.float64]

_STEPS: Final = 60
_MEMORY: Final = 10
_ENOUGH: Final = 1e-9  # relative decrease of the loss at which fitting ends
_NOTHING: Final = -1e9
_SMALLEST_STEP: Final = 1e-8


@dataclass(frozen=True)
class Examples:
    """Examples for one label.

    The label's probability for an example is the sigmoid of `features @ row - offsets`. In a softmax over labels,
    `offsets` is the log-sum-exp of the other labels' logits, so that fitting one row is logistic regression.

    Attributes:
        features: float64 (examples, features + 1); the last column is 1, for the bias.
        offsets: float64 (examples,).
        targets: the label's wanted probability, float64 (examples,).
        weights: how much each example counts, float64 (examples,).
    """

    features: NDArray[np.float64]
    offsets: Vector
    targets: Vector
    weights: Vector


@dataclass(frozen=True)
class Ridge:
    """A penalty on a row: `strength / 2` times the squared distance of its weights from `centre`'s.

    Attributes:
        strength: of the penalty, for features whose mean squared length is 1.
        centre: float64 (features + 1,); its last number, the bias, has no penalty.
    """

    strength: float
    centre: Vector


def fit_row(examples: Examples, start: Vector, ridge: Ridge) -> Vector:
    """Return the row that minimises the examples' cross-entropy plus the penalty.

    The loss is convex, so that the result depends on `start`, float64 (features + 1,), only by rounding. L-BFGS with
    backtracking (Nocedal and Wright 2006, algorithm 7.4).
    """
    scale = _scale(examples.features)
    scaled = replace(ridge, centre=ridge.centre * scale)
    fitted = _minimise(replace(examples, features=examples.features / scale), start * scale, scaled)
    return np.asarray(fitted / scale)


def _scale(features: NDArray[np.float64]) -> Vector:
    """Return what divides the columns so that rows have a mean squared length of 1, apart from the bias's."""
    length = np.sqrt(np.square(features[:, :-1]).sum(axis=1).mean())
    return np.append(np.full(features.shape[1] - 1, length if length > 0 else 1.0), 1.0)


def _minimise(examples: Examples, start: Vector, ridge: Ridge) -> Vector:
    row, (loss, slope) = start, _loss(examples, start, ridge)
    steepest = (
        ridge.strength + examples.weights @ np.square(examples.features).sum(axis=1) / 4
    )  # bounds the curvature
    pairs: deque[tuple[Vector, Vector]] = deque(maxlen=_MEMORY)
    for _ in range(_STEPS):
        direction = _direction(slope, pairs) if pairs else slope / steepest
        expected = float(slope @ direction)
        step = 1.0
        while True:
            moved = row - step * direction
            new_loss, new_slope = _loss(examples, moved, ridge)
            if new_loss <= loss - 1e-4 * step * expected:
                break
            step /= 2
            if step < _SMALLEST_STEP:
                return row
        change, bend = moved - row, new_slope - slope
        if change @ bend > 0:
            pairs.append((change, bend))
        finished = loss - new_loss <= _ENOUGH * max(loss, _ENOUGH)
        row, loss, slope = moved, new_loss, new_slope
        if finished:
            break
    return row


def log_sum_exp(logits: NDArray[np.float64]) -> Vector:
    """Return the logarithm of the sum of exponentials over the last axis; a number near -1e9 if that axis is empty."""
    if logits.shape[-1] == 0:
        return np.full(logits.shape[:-1], _NOTHING)
    largest = logits.max(axis=-1)
    return np.asarray(largest + np.log(np.exp(logits - largest[..., None]).sum(axis=-1)))


def _loss(examples: Examples, row: Vector, ridge: Ridge) -> tuple[float, Vector]:
    """Return the loss and its gradient."""
    scores = examples.features @ row - examples.offsets
    losses = np.logaddexp(0.0, scores) - examples.targets * scores
    errors = examples.weights * (sigmoid(scores) - examples.targets)
    distance = row - ridge.centre
    penalty = np.append(ridge.strength * distance[:-1], 0.0)
    loss = float(examples.weights @ losses) + float(penalty @ distance) / 2
    return loss, errors @ examples.features + penalty


def _direction(slope: Vector, pairs: deque[tuple[Vector, Vector]]) -> Vector:
    """Return the inverse Hessian, as `pairs` approximate it, times `slope`."""
    direction, shares = slope.copy(), []
    for change, bend in reversed(pairs):
        share = (change @ direction) / (change @ bend)
        direction -= share * bend
        shares.append(share)
    change, bend = pairs[-1]
    direction *= (change @ bend) / (bend @ bend)
    for (change, bend), share in zip(pairs, reversed(shares), strict=True):
        direction += (share - (bend @ direction) / (change @ bend)) * change
    return direction
