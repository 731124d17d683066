"""Texts to embed, with the comparison and scoring of their vectors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ftool_export.checkpoints.embedder import LoadedEmbedder
from ftool_export.checkpoints.embedder_layout import Kind
from ftool_export.examples.base import AnswerKind, EncoderExamples
from ftool_runtime.session.encoder_engine import Outputs

Vectors = NDArray[np.float32]  # (texts, width)

_EQUALLY_NEAR = 1e-5  # of a cosine: float32 sums in another order, and the same text twice
_ROWS_AT_ONCE = 1024


@dataclass(frozen=True, kw_only=True)
class EmbeddingExamples(EncoderExamples):
    """Texts for an embedder.

    Attributes:
        inputs: texts, or dicts of "text" and its "kind".
        first_side: the number of leading texts, such as queries, that are compared with all the remaining texts.
            None: each text is compared with all others.
        scorer: the main metric from the vectors.
    """

    kind: ClassVar[AnswerKind] = "vectors"
    first_side: int | None = None
    scorer: Callable[[Vectors], float] | None = None

    def score(self, outputs: Outputs) -> float:
        """The main metric."""
        assert self.scorer is not None, "these texts have no labels"
        return self.scorer(np.asarray(outputs))

    def same(self, reference: Outputs, other: Outputs) -> NDArray[np.bool_]:
        """Whether each text has the same nearest neighbour, (texts, 1): what a search would find first."""
        one, two = _unit(reference), _unit(other)
        if self.first_side is None:
            return _same_nearest(one, one, two, two, itself=True)[:, np.newaxis]
        here, there = slice(None, self.first_side), slice(self.first_side, None)
        found = [
            _same_nearest(one[side], one[across], two[side], two[across])
            for side, across in ((here, there), (there, here))
        ]
        return np.concatenate(found)[:, np.newaxis]

    def distances(self, reference: Outputs, other: Outputs) -> NDArray[np.float64]:
        """1 minus the cosine of a text's two vectors, (texts,), at most 1."""
        # Half the square of the distance of unit vectors: the same, and exactly 0 for equal ones.
        gaps = ((_unit(reference) - _unit(other)) ** 2).sum(axis=1) / 2
        return np.asarray(np.minimum(gaps, 1.0), dtype=np.float64)


def inputs_of_kind(loaded: LoadedEmbedder, texts: Sequence[str], kind: Kind | None) -> list[Any]:
    """Return the model's inputs for texts in the simplest form: each text after its prompt."""
    if loaded.prefix:  # would be added too
        return [{"text": text, "kind": kind} if kind else text for text in texts]
    return [loaded.of_kind(kind).prefix + text for text in texts]


def _unit(vectors: Outputs) -> NDArray[np.float64]:
    values = np.asarray(vectors, dtype=np.float64)
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12))


def _same_nearest(
    one: NDArray[np.float64],  # (texts, width); `two` is another embedding of the same texts
    one_across: NDArray[np.float64],  # (others, width); so is `two_across`
    two: NDArray[np.float64],
    two_across: NDArray[np.float64],
    *,
    itself: bool = False,
) -> NDArray[np.bool_]:
    """Return for each text whether both embeddings find the same nearest text, or an equally near one."""
    same = np.ones(len(one), dtype=np.bool_)
    if len(one_across) <= itself:
        return same
    for start in range(0, len(one), _ROWS_AT_ONCE):
        rows = np.arange(start, min(start + _ROWS_AT_ONCE, len(one)))
        before, after = one[rows] @ one_across.T, two[rows] @ two_across.T  # (rows, others)
        if itself:
            before[np.arange(len(rows)), rows] = after[np.arange(len(rows)), rows] = -np.inf
        nearest = before.argmax(axis=1)
        same[rows] = after[np.arange(len(rows)), nearest] >= after.max(axis=1) - _EQUALLY_NEAR
    return same
