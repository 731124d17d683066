"""Merge the rankings by words and by embeddings into one, by a convex combination of their scores."""

import math
from collections.abc import Sequence
from typing import Final

# Weights as in Bruch, Gai and Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval", TOIS 2023; both numbers
# are set on policyqa, squad2_dev and examples/documents, see docs/search.md.
MEANING_WEIGHT: Final = 0.55
_WORDS_POWER: Final = (
    3  # a passage with half of a question's words is far from half as good as one with all of them
)
_NOISE: Final = (
    0.038  # the largest factor of `least_score` that hides no right passage of these sets, rounded down
)


def fuse(
    words: Sequence[tuple[int, float]], near: Sequence[tuple[int, float]], depth: int
) -> list[tuple[int, float]]:
    """Merge a ranking by words and one by embeddings; each is a list of (id, score), best first, up to `depth` long.

    The new score is 0.55 times the score by embeddings plus 0.45 times the cube of the score by words, both limited to
    0 to 1. A passage that only the ranking by words contains gets the lowest score by embeddings. Ids with equal new
    scores are sorted by id.
    """
    lowest = near[-1][1] if len(near) >= depth else 0.0
    meaning = dict(near)
    matching = dict(words)
    scores = {
        passage: combined(meaning.get(passage, lowest), matching.get(passage, 0.0))
        for passage in meaning | matching
    }
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


def combined(meaning: float, words: float) -> float:
    """Return the score in the mode "fused" of a passage with these scores by embeddings and by words."""
    return MEANING_WEIGHT * _limited(meaning) + (1 - MEANING_WEIGHT) * _limited(words) ** _WORDS_POWER


def least_score(passages: int) -> float:
    """Return the score in the mode "fused" that even the best of `passages` passages reaches by chance.

    The more passages there are that do not fit a question, the higher the best of them scores: like the largest of n
    normally distributed numbers, which is about sqrt(2 ln n) deviations above their mean.
    """
    return _NOISE * math.sqrt(2 * math.log(max(passages, 2)))


def _limited(score: float) -> float:
    return min(max(score, 0.0), 1.0)
