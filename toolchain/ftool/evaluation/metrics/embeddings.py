"""Metrics of embedders, computed only from vectors, so that run/ and bundle/ are measured in the same way."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from ftool.data.dataset import Split
from ftool.data.rows.similarity import SimilarityKind, SimilarPair, kind_of, scores_of
from ftool.evaluation.confidence_intervals import finite
from ftool.evaluation.metrics.classification import correlations
from ftool.evaluation.metrics.ranking import CUTS, ranking_values
from ftool.evaluation.results import Metrics
from ftool.evaluation.statistics import RecomputedStatistics, Statistics, averaged
from ftool_export.checkpoints.embedder_layout import Kind

Vectors = NDArray[np.float32]  # (texts, width)

_FOUND = 5  # passages of each query that are written as predictions
_QUERIES_AT_ONCE = 1024  # a block of similarities to 100,000 passages takes 400 MB


@dataclass(frozen=True)
class Search:
    """A retrieval task: queries, the passages to search, and for each query the positions of its relevant passages."""

    queries: Sequence[str]
    corpus: Sequence[str]
    relevant: Sequence[frozenset[int]]


def texts_to_embed(split: Split[SimilarPair]) -> list[tuple[Kind | None, Sequence[str]]]:
    """Return the two lists of texts whose vectors `embedding_metrics` needs, each list with the kind of its texts.

    For pairs and triplets, the lists are the distinct queries and the distinct passages, positive and negative. For
    scored pairs, they are the first texts and the second texts, and the kind of both lists is None.
    """
    if kind_of(split) == "scored":
        return [(None, [e.anchor for e in split.examples]), (None, [e.positive for e in split.examples])]
    search = search_of(split)
    return [("query", search.queries), ("passage", search.corpus)]


def search_of(split: Split[SimilarPair]) -> Search:
    """Return the split as a retrieval task.

    Each anchor is a query; all passages of the split, positive and negative, are searched.
    """
    queries = {e.anchor: position for position, e in enumerate(split.examples)}
    corpus: dict[str, int] = {}
    relevant: dict[str, set[int]] = {query: set() for query in queries}
    for example in split.examples:
        for text in example.texts[1:]:
            corpus.setdefault(text, len(corpus))
        relevant[example.anchor].add(corpus[example.positive])
    return Search(list(relevant), list(corpus), [frozenset(found) for found in relevant.values()])


def embedding_metrics(split: Split[SimilarPair], vectors: Sequence[Vectors], similarity: str) -> Metrics:
    """Return all metrics of an embedder from its vectors.

    `vectors` holds two arrays, (texts, width), for the two lists of `texts_to_embed(split)`; `similarity` is "cosine"
    or "dot". For scored pairs the metrics are correlations of similarity and score, -1 to 1, or None if undefined. For
    pairs and triplets the metrics are retrieval metrics, 0 to 1. For triplets there is also `triplet_accuracy`, the
    share of triplets whose anchor is nearer to the positive than to the negative.
    """
    first, second = (prepared(one, similarity) for one in vectors)
    if kind_of(split) == "scored":
        found = correlations((first * second).sum(axis=1), scores_of(split))
        return {name: finite(value) for name, value in found.items()}
    search = search_of(split)
    metrics = search_metrics(search, best_of(first, second, max(CUTS)))
    if kind_of(split) == "triplets":
        metrics["triplet_accuracy"] = float(_nearer(split, search, first, second).mean())
    return metrics


def main_metric(kind: SimilarityKind, requested: str | None) -> str:
    """Return the name of the main metric: `requested` if it is not None, else the default for `kind`."""
    return requested or ("spearman" if kind == "scored" else "mrr_at_10")


def prepared(vectors: Any, similarity: str) -> Any:
    """Return vectors, (texts, width), whose dot products are similarities.

    These are `vectors`, normalised to length 1 unless `similarity` is "dot".
    """
    if similarity == "dot":
        return vectors
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)


def best_of(queries: Any, corpus: Any, count: int) -> NDArray[np.int64]:
    """Return the positions of the `count` passages in `corpus` that are most similar to each query: (queries, count).

    `queries` and `corpus` are vectors, dense or sparse, whose dot products are similarities. The most similar passage
    is first. Passages of equal similarity are in the order of `corpus`.
    """
    count = min(count, corpus.shape[0])
    found = np.empty((queries.shape[0], count), dtype=np.int64)
    for start, similarities in similarity_blocks(queries, corpus):
        best = np.argsort(-similarities, axis=1, kind="stable")[:, :count]
        found[start : start + len(best)] = best
    return found


def similarity_blocks(queries: Any, corpus: Any) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the first query of each block of queries, and its similarities to all passages, (queries, corpus).

    `queries` and `corpus` are vectors, dense or sparse, whose dot products are similarities.
    """
    for start in range(0, queries.shape[0], _QUERIES_AT_ONCE):
        similarities = queries[start : start + _QUERIES_AT_ONCE] @ corpus.T
        yield start, similarities.toarray() if issparse(similarities) else similarities


def search_metrics(search: Search, found: NDArray[np.int64]) -> Metrics:
    """Return retrieval metrics, as means over queries.

    `found`, (queries, up to 10), holds the positions of each query's best passages, best first. The metrics are those
    of `ranking_values`, with a gain of 1 for relevant passages.
    """
    values = _of_queries(search, found)
    metrics: Metrics = {name: float(value.mean()) for name, value in values.items()}
    return metrics | {"queries": len(search.queries), "passages": len(search.corpus)}


def embedding_statistics(split: Split[SimilarPair], vectors: Sequence[Any], similarity: str) -> Statistics:
    """Return statistics from which the metrics of any subset of the examples can be computed.

    The arguments are the same as those of `embedding_metrics`; if `similarity` is "dot", the vectors can be sparse.

    Every query searches the passages of all examples, also of those outside the subset. A query that several examples
    share counts once for each of these examples.
    """
    main = main_metric(kind_of(split), None)
    first, second = (prepared(one, similarity) for one in vectors)
    if kind_of(split) == "scored":
        similarities, scores = (first * second).sum(axis=1), np.array(scores_of(split))
        return RecomputedStatistics(
            len(split), lambda places: correlations(similarities[places], scores[places]), main=main
        )
    search = search_of(split)
    query = _positions(search.queries)
    own = [query[example.anchor] for example in split.examples]
    values = _of_queries(search, best_of(first, second, max(CUTS)))
    found = {name: value[own] for name, value in values.items()}
    if kind_of(split) == "triplets":
        found["triplet_accuracy"] = _nearer(split, search, first, second)
    shares = [name for name in found if name.startswith("hit_at") or name == "triplet_accuracy"]
    return averaged(found, main=main, shares=shares)


def embedding_predictions(
    split: Split[SimilarPair], vectors: Sequence[Vectors], similarity: str
) -> list[dict[str, Any]]:
    """Return a row of predictions for each example; the arguments are those of `embedding_metrics`.

    Of a scored pair: the score and, as "predicted", the similarity. Of a pair or triplet: the similarity and the rank,
    from 1, of its passage among all passages, and under "found" the most similar passages, the best first.
    """
    first, second = (prepared(one, similarity) for one in vectors)
    texts = [{"row": one.row, **one.named_texts} for one in split.examples]
    if kind_of(split) == "scored":
        similarities = (first * second).sum(axis=1)
        return [
            {**row, "score": score, "predicted": float(own)}
            for row, score, own in zip(texts, scores_of(split), similarities, strict=True)
        ]
    search = search_of(split)
    query, passage = _positions(search.queries), _positions(search.corpus)
    best = best_of(first, second, _FOUND)
    rows = []
    for row, one in zip(texts, split.examples, strict=True):
        asked, right = query[one.anchor], passage[one.positive]
        every = second @ first[asked]  # (passages,)
        before = np.count_nonzero(every > every[right]) + np.count_nonzero(every[:right] == every[right])
        found = [{"text": search.corpus[n], "similarity": float(every[n])} for n in best[asked]]
        rows.append({**row, "similarity": float(every[right]), "rank": int(before) + 1, "found": found})
    return rows


def _of_queries(search: Search, found: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Return the values of `search_metrics` for each query: for each metric's name, float64 (queries,)."""
    gains = np.array(
        [
            [position in relevant for position in row]
            for row, relevant in zip(found, search.relevant, strict=True)
        ],
        dtype=np.float64,
    ).reshape(len(search.queries), -1)  # (queries, ranks)
    wanted = np.array([len(relevant) for relevant in search.relevant])
    return ranking_values(gains, (np.arange(max(CUTS)) < wanted[:, None]).astype(np.float64), wanted)


def _nearer(split: Split[SimilarPair], search: Search, queries: Any, corpus: Any) -> NDArray[np.float64]:
    """Return, for each triplet, 1 if the anchor is nearer to the positive than to the negative, else 0: (triplets,)."""
    query = _positions(search.queries)
    passage = _positions(search.corpus)
    rows = [(query[e.anchor], passage[e.positive], passage[e.negative or ""]) for e in split.examples]
    anchors, near, far = (list(column) for column in zip(*rows, strict=True))
    gap = (queries[anchors] * (corpus[near] - corpus[far])).sum(axis=1)
    return np.asarray(gap > 0, dtype=np.float64)


def _positions(texts: Sequence[str]) -> Mapping[str, int]:
    return {text: position for position, text in enumerate(texts)}
