"""Reciprocal rank fusion."""

from collections.abc import Sequence
from typing import Final

K: Final = 60  # Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet …", SIGIR 2009


def fuse(*rankings: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Several rankings of ids with scores, best first, as one: each adds 1 / (K + rank), with ranks from 1.

    Only ranks count, so that the rankings' scores need not be comparable. Ids of equal scores stand in their own order.
    """
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, (identity, _) in enumerate(ranking, start=1):
            scores[identity] = scores.get(identity, 0.0) + 1 / (K + rank)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))
