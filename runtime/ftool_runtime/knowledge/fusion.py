"""Merge several rankings into one, by reciprocal rank fusion."""

from collections.abc import Sequence
from typing import Final

K: Final = 60  # Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet …", SIGIR 2009


def fuse(*rankings: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return one ranking, a list of (id, score), made from several such rankings; all have the best entry first.

    An id's new score is the sum of 1 / (K + rank) over the rankings, with ranks from 1. The old scores are ignored, so
    they need not be comparable. Ids with equal scores are sorted by id.
    """
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, (identity, _) in enumerate(ranking, start=1):
            scores[identity] = scores.get(identity, 0.0) + 1 / (K + rank)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))
