"""Merge several rankings into one, by reciprocal rank fusion."""

from collections.abc import Sequence
from typing import Final

K: Final = 60  # Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet …", SIGIR 2009


def fuse(*rankings: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Merge several rankings into one; each ranking is a list of (id, score), best first.

    The new score of an id is the sum of 1 / (K + rank) over the rankings that contain the id; K is 60, and ranks start
    at 1. The old scores are ignored, so they need not be comparable. Ids with equal new scores are sorted by id.
    """
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, (identity, _) in enumerate(ranking, start=1):
            scores[identity] = scores.get(identity, 0.0) + 1 / (K + rank)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))
