"""Examples for embedders: comparing and scoring vectors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ftool_export.checkpoints.embedder import LoadedEmbedder
from ftool_export.checkpoints.embedder_layout import Kind
from ftool_export.examples.base import AnswerKind, EncoderExamples
from ftool_export.examples.comparison import Compared
from ftool_runtime.session.encoder_engine import Outputs

Vectors = NDArray[np.float32]  # (texts, width)

_EQUALLY_NEAR = 1e-5  # cosines this close count as equal: duplicates of a text, sums in another order
_ROWS_AT_ONCE = 1024


@dataclass(frozen=True, kw_only=True)
class EmbeddingExamples(EncoderExamples):
    """Texts for an embedder.

    Attributes:
        inputs: texts, or dicts of "text" and "kind" ("query" or "passage").
        first_side: the number of texts at the beginning, such as queries, whose nearest neighbours are sought among the
            remaining texts, such as passages, and the other way round. None seeks a text's neighbour among all others.
        scorer: computes the main metric from the vectors, float32 (texts, width).
    """

    kind: ClassVar[AnswerKind] = "vectors"
    compared: ClassVar[Compared] = "nearest texts"
    first_side: int | None = None
    scorer: Callable[[Vectors], float] | None = None

    def score(self, outputs: Outputs) -> float:
        """Return the main metric for the vectors `outputs`."""
        assert self.scorer is not None, "these texts have no labels"
        return self.scorer(self.scored(outputs))

    def same(self, reference: Outputs, other: Outputs) -> NDArray[np.bool_]:
        """Return whether each text has the same nearest neighbour by both sets of vectors, bool (texts, 1)."""
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
        """Return 1 minus the cosine similarity of each text's two vectors, float64 (texts,), at most 1."""
        # For unit vectors half the squared distance is 1 - cosine, and exactly 0 for equal vectors.
        gaps = ((_unit(reference) - _unit(other)) ** 2).sum(axis=1) / 2
        return np.asarray(np.minimum(gaps, 1.0), dtype=np.float64)


def embedder_inputs(loaded: LoadedEmbedder, texts: Sequence[str], kind: Kind | None) -> list[Any]:
    """Return the embedder's inputs for texts of one kind.

    These are texts with the prompt put before them, or dicts of "text" and "kind" if the embedder has a prefix, because
    the embedder would put the prefix before a plain text.
    """
    if loaded.prefix:  # the model would add it in front of a plain text
        return [{"text": text, "kind": kind} if kind else text for text in texts]
    return [loaded.with_prompt_for(kind).prefix + text for text in texts]


def _unit(vectors: Outputs) -> NDArray[np.float64]:
    values = np.asarray(vectors, dtype=np.float64)
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12))


def _same_nearest(
    one: NDArray[np.float64],  # (texts, width); `two` is the second embedding of the same texts
    one_across: NDArray[np.float64],  # (others, width), the texts to search; `two_across` embeds the same
    two: NDArray[np.float64],
    two_across: NDArray[np.float64],
    *,
    itself: bool = False,
) -> NDArray[np.bool_]:
    """Return for each text whether its nearest text by `one` is also nearest, or equally near, by `two`: bool (texts,).

    `itself` is True if the texts are searched among themselves, so that a text does not find itself.
    """
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
