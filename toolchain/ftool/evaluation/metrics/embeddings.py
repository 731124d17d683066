"""Metrics of embeddings, computed only from vectors, so that run/ and bundle are measured alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ftool.data.dataset import Split
from ftool.data.rows.similarity import SimilarityKind, SimilarPair, kind_of, scores_of
from ftool.evaluation.metrics.classification import correlations
from ftool.evaluation.results import Metrics
from ftool.evaluation.statistics import RecomputedStatistics, Statistics, averaged
from ftool_export.checkpoints.embedder_layout import Kind

Vectors = NDArray[np.float32]  # (texts, width)

_CUTS = (1, 5, 10)  # numbers of best passages for recall and hits
_RANKED = 10  # number of best passages for MRR and NDCG
_QUERIES_AT_ONCE = 1024  # a block of similarities to 100,000 passages takes 400 MB


@dataclass(frozen=True)
class Search:
    """Queries, the passages to search, and for each query the positions of the relevant passages."""

    queries: Sequence[str]
    corpus: Sequence[str]
    relevant: Sequence[frozenset[int]]


def judged_texts(split: Split[SimilarPair]) -> list[tuple[Kind | None, Sequence[str]]]:
    """Return the texts whose vectors `embedding_metrics` needs, as lists with their kinds.

    Pairs and triplets: each query once, then each passage once, positive or negative. Scored pairs: both sides.
    """
    if kind_of(split) == "scored":
        return [(None, [e.anchor for e in split.examples]), (None, [e.positive for e in split.examples])]
    search = search_of(split)
    return [("query", search.queries), ("passage", search.corpus)]


def search_of(split: Split[SimilarPair]) -> Search:
    """Return the split as a search: each anchor is a query over all passages of the split, including negatives."""
    queries = {e.anchor: position for position, e in enumerate(split.examples)}
    corpus: dict[str, int] = {}
    relevant: dict[str, set[int]] = {query: set() for query in queries}
    for example in split.examples:
        for text in example.texts[1:]:
            corpus.setdefault(text, len(corpus))
        relevant[example.anchor].add(corpus[example.positive])
    return Search(list(relevant), list(corpus), [frozenset(found) for found in relevant.values()])


def embedding_metrics(split: Split[SimilarPair], vectors: Sequence[Vectors], similarity: str) -> Metrics:
    """All metrics of the vectors of `judged_texts(split)`, by cosine or dot product, as `similarity` says.

    Scored pairs: correlation of similarity and score, -1 to 1. Pairs and triplets: search, 0 to 1; of triplets also
    how often the positive is nearer than the negative.
    """
    first, second = (prepared(one, similarity) for one in vectors)
    if kind_of(split) == "scored":
        return correlations((first * second).sum(axis=1), scores_of(split))
    search = search_of(split)
    metrics = search_metrics(search, best_of(first, second, max(_CUTS)))
    if kind_of(split) == "triplets":
        metrics["triplet_accuracy"] = float(_nearer(split, search, first, second).mean())
    return metrics


def main_metric(kind: SimilarityKind, asked: str | None) -> str:
    """Return the name of the main metric: the recipe's, or the default for the kind of data."""
    return asked or ("spearman" if kind == "scored" else "mrr_at_10")


def prepared(vectors: Vectors, similarity: str) -> Vectors:
    """Vectors whose dot products are the similarities."""
    if similarity == "dot":
        return vectors
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)


def best_of(queries: Vectors, corpus: Vectors, count: int) -> NDArray[np.int64]:
    """Positions in `corpus` of the nearest `count` of each query, nearest first; for equal similarity the earlier."""
    count = min(count, len(corpus))
    found = np.empty((len(queries), count), dtype=np.int64)
    for start in range(0, len(queries), _QUERIES_AT_ONCE):
        block = slice(start, start + _QUERIES_AT_ONCE)
        similarities = queries[block] @ corpus.T  # (queries, corpus)
        found[block] = np.argsort(-similarities, axis=1, kind="stable")[:, :count]
    return found


def search_metrics(search: Search, found: NDArray[np.int64]) -> Metrics:
    """Metrics of the passages `found`, (queries, up to 10), best first, by their positions in the corpus.

    recall: the share of a query's relevant passages that is found; hit: whether any is. mrr: one over the rank of the
    first relevant one. ndcg: with gains of 1 (Järvelin and Kekäläinen 2002). All are means over queries.
    """
    values = _of_queries(search, found)
    metrics: Metrics = {name: float(value.mean()) for name, value in values.items()}
    return metrics | {"queries": len(search.queries), "passages": len(search.corpus)}


def embedding_statistics(
    split: Split[SimilarPair], vectors: Sequence[Vectors], similarity: str, *, main: str | None = None
) -> Statistics:
    """The metrics that `embedding_metrics` has, of any part of the examples; arguments as there.

    Every query is asked of all passages, whatever part it is in, and counts once for each example that it has.
    """
    main = main_metric(kind_of(split), main)
    first, second = (prepared(one, similarity) for one in vectors)
    if kind_of(split) == "scored":
        likeness, scores = (first * second).sum(axis=1), np.array(scores_of(split))
        return RecomputedStatistics(
            len(split), lambda places: correlations(likeness[places], scores[places]), main=main
        )
    search = search_of(split)
    query = _positions(search.queries)
    own = [query[example.anchor] for example in split.examples]
    values = _of_queries(search, best_of(first, second, max(_CUTS)))
    found = {name: value[own] for name, value in values.items()}
    if kind_of(split) == "triplets":
        found["triplet_accuracy"] = _nearer(split, search, first, second)
    shares = [name for name in found if name.startswith("hit_at") or name == "triplet_accuracy"]
    return averaged(found, main=main, shares=shares)


def _of_queries(search: Search, found: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Return each query's contribution to the metrics of `search_metrics`, (queries,) each."""
    right = np.array(
        [
            [position in relevant for position in row]
            for row, relevant in zip(found, search.relevant, strict=True)
        ]
    ).reshape(len(search.queries), -1)  # (queries, ranks)
    wanted = np.array([len(relevant) for relevant in search.relevant])
    values = {f"recall_at_{cut}": right[:, :cut].sum(axis=1) / wanted for cut in _CUTS}
    values |= {f"hit_at_{cut}": right[:, :cut].any(axis=1).astype(np.float64) for cut in _CUTS}
    ranked = right[:, :_RANKED]
    first = np.where(ranked.any(axis=1), 1.0 / (ranked.argmax(axis=1) + 1), 0.0)
    values[f"mrr_at_{_RANKED}"] = first
    gains = 1.0 / np.log2(np.arange(2, _RANKED + 2))
    ideal = np.cumsum(gains)[np.minimum(wanted, _RANKED) - 1]
    values[f"ndcg_at_{_RANKED}"] = (ranked * gains[: ranked.shape[1]]).sum(axis=1) / ideal
    return values


def _nearer(
    split: Split[SimilarPair], search: Search, queries: Vectors, corpus: Vectors
) -> NDArray[np.float64]:
    """Return for each triplet whether the positive is nearer than the negative, 0 or 1."""
    query = _positions(search.queries)
    passage = _positions(search.corpus)
    rows = [(query[e.anchor], passage[e.positive], passage[e.negative or ""]) for e in split.examples]
    anchors, near, far = (list(column) for column in zip(*rows, strict=True))
    gap = (queries[anchors] * (corpus[near] - corpus[far])).sum(axis=1)
    return np.asarray(gap > 0, dtype=np.float64)


def _positions(texts: Sequence[str]) -> Mapping[str, int]:
    return {text: position for position, text in enumerate(texts)}
