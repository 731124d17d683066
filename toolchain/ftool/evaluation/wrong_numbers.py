"""Answers to read of models that answer with numbers: those furthest from the data, and passages in the wrong order."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from ftool.data.dataset import Split
from ftool.data.rows.labels import LabelledText
from ftool.data.rows.similarity import SimilarPair, kind_of, scores_of
from ftool.evaluation.metrics.embeddings import prepared, search_of, similarity_blocks
from ftool.evaluation.mistakes import MOST_READ, Doubt, WrongAnswers

_FURTHER = (
    "answer is further from the data than the average",
    "answers are further from the data than the average",
)


def find_wrong_numbers(
    examples: Sequence[LabelledText], answers: NDArray[np.float32], names: Sequence[str], *, split: str
) -> WrongAnswers:
    """Return the numbers that are further from the data's than the average is, the furthest first.

    Distances are shares of the range of the data's numbers; of several numbers, the largest counts.

    Args:
        examples: the texts, with their numbers.
        answers: the model's numbers, float (examples, numbers).
        names: the names of the numbers; empty if there is one.
        split: the name of the examples' split.
    """
    wanted = np.array([one.scores for one in examples], dtype=np.float64)  # (examples, numbers)
    extent = np.ptp(wanted, axis=0)
    distances = (np.abs(answers - wanted) / np.where(extent > 0, extent, 1.0)).max(axis=1)

    def doubt(place: int) -> Doubt:
        return Doubt(
            split=split,
            row=examples[place].row,
            text=examples[place].key,
            labels=_numbers(wanted[place], names),
            answer=_numbers(answers[place], names),
            confidence=float(distances[place]),
        )

    found, total = _furthest(distances)
    return WrongAnswers(
        order="the furthest first",
        measure="off, of the numbers' range, by",
        what=_FURTHER,
        total=total,
        found=[doubt(place) for place in found],
    )


def find_wrong_neighbours(
    split: Split[SimilarPair], vectors: Sequence[Any], similarity: str, name: str
) -> WrongAnswers:
    """Return the queries whose most similar passage is none of their own, those first whose passage is found last.

    Of scored pairs: those that the model ranks further from their rank in the data than it does on average.

    Args:
        split: the pairs or triplets.
        vectors: two arrays, float32 (texts, width), for the lists of `texts_to_embed(split)`.
        similarity: "cosine" or "dot".
        name: the split's name.
    """
    first, second = (prepared(one, similarity) for one in vectors)
    if kind_of(split) == "scored":
        return _wrongly_ranked_pairs(split, (first * second).sum(axis=1), name)
    search = search_of(split)
    passages = {text: place for place, text in enumerate(search.corpus)}
    rows = {one.anchor: one for one in split.examples}  # one example of each query
    wrong: list[tuple[int, Doubt]] = []
    for start, similarities in similarity_blocks(first, second):
        best = similarities.argmax(axis=1)
        for place, found in enumerate(best.tolist(), start):
            if found in search.relevant[place]:
                continue
            one = rows[search.queries[place]]
            own = similarities[place - start]
            rank = int(np.count_nonzero(own >= own[passages[one.positive]]))
            wrong.append((rank, _neighbour(one, search.corpus[found], rank, name)))
    wrong.sort(key=lambda pair: -pair[0])
    return WrongAnswers(
        order="those whose passage comes last, first",
        measure="rank of the right passage",
        what=("query finds another passage first", "queries find another passage first"),
        share=False,
        total=len(wrong),
        found=[doubt for _, doubt in wrong[:MOST_READ]],
    )


def _neighbour(one: SimilarPair, found: str, rank: int, split: str) -> Doubt:
    return Doubt(
        split=split, row=one.row, text=one.anchor, labels=(one.positive,), answer=(found,), confidence=rank
    )


def _wrongly_ranked_pairs(
    split: Split[SimilarPair], similarities: NDArray[np.float32], name: str
) -> WrongAnswers:
    scores = np.array(scores_of(split))
    last = max(len(split) - 1, 1)
    places, wanted = ((rankdata(values) - 1) / last for values in (similarities, scores))
    distances = np.abs(places - wanted)
    found, total = _furthest(distances)
    return WrongAnswers(
        order="the furthest first",
        measure="from its place among all pairs by",
        what=_FURTHER,
        total=total,
        found=[
            Doubt(
                split=name,
                row=one.row,
                text=f"{one.anchor}\n{one.positive}",
                labels=(f"{scores[place]:g}, above {wanted[place]:.0%} of the pairs",),
                answer=(f"{similarities[place]:.3f}, above {places[place]:.0%} of the pairs",),
                confidence=float(distances[place]),
            )
            for place in found
            for one in (split.examples[place],)
        ],
    )


def _furthest(distances: NDArray[np.float64]) -> tuple[list[int], int]:
    """Return the places of the largest distances, the largest first, and how many are above the mean."""
    above = int(np.count_nonzero(distances > distances.mean()))
    return np.argsort(-distances, kind="stable")[: min(above, MOST_READ)].tolist(), above


def _numbers(values: NDArray[Any], names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        return (f"{values[0]:.4g}",)
    return tuple(f"{name} {value:.4g}" for name, value in zip(names, values, strict=True))
