"""Agreement of the engines' answers with torch's in fp32, which is checked before an engine is timed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAST = 0.9  # agreement below which an engine is not timed

Vectors = NDArray[np.float32]


def of_labels(answers: Sequence[str], reference: Sequence[str], truth: Sequence[str]) -> dict[str, float]:
    """Return the share of texts with the label of `reference`, and the accuracy."""
    return {"agreement": same(answers, reference), "accuracy": same(answers, truth)}


def of_vectors(answers: Any, reference: Any) -> dict[str, float]:
    """Return the mean cosine with the vectors of `reference`, and the share of texts with the same nearest text.

    Vectors have shape (texts, dimension).
    """
    nearest = [_nearest(_normalized(one)) for one in (answers, reference)]
    return {"agreement": cosine(answers, reference), "same_nearest": float(np.mean(nearest[0] == nearest[1]))}


def same(answers: Sequence[str], others: Sequence[str]) -> float:
    """Return the share of answers that are equal to the others'."""
    return float(np.mean(np.array(answers) == np.array(others)))


def cosine(vectors: Any, others: Any) -> float:
    """Return the mean cosine of vectors, of shape (texts, dimension), with the others."""
    return float(np.mean(np.sum(_normalized(vectors) * _normalized(others), axis=1)))


def _normalized(vectors: Any) -> Vectors:
    found = np.asarray(vectors, dtype=np.float32)
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))


def _nearest(vectors: Vectors) -> NDArray[np.intp]:
    similarities = vectors @ vectors.T
    np.fill_diagonal(similarities, -np.inf)
    nearest: NDArray[np.intp] = similarities.argmax(axis=1)
    return nearest
