"""Reciprocal rank fusion: merge several rankings into one."""

from collections.abc import Sequence
from typing import Final

K: Final = 60  # Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet …", SIGIR 2009


def fuse(*rankings: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Merge rankings of (id, score), best first: an id's score is the sum of 1 / (K + rank), with ranks from 1.

    Only ranks count, so the rankings' own scores need not be comparable. Ids with equal scores are sorted by id.
    """
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, (identity, _) in enumerate(ranking, start=1):
            scores[identity] = scores.get(identity, 0.0) + 1 / (K + rank)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))
