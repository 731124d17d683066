"""Metrics of ranked lists: of the passages that an embedder finds, and of a reranker's order of documents."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ftool.data.rows.ranking import RankedQuery
from ftool.evaluation.results import Metrics
from ftool.evaluation.statistics import Statistics, averaged

Floats = NDArray[np.float64]

CUTS: Final = (1, 5, 10)  # values of k for recall@k and hit@k
RANKED: Final = 10  # value of k for MRR@k and NDCG@k
MAIN: Final = "mrr_at_10"


def ranking_values(gains: Floats, best: Floats, relevant: NDArray[np.int64]) -> dict[str, Floats]:
    """Return the metrics of each query's ranked list by name, float64 (queries,) each.

    "recall" is the share of a query's relevant documents that were found; "hit" is 1 if any was found, else 0; "mrr" is
    one over the rank of the first relevant document; "ndcg" is defined by Järvelin and Kekäläinen (2002), with linear
    gains.

    Args:
        gains: the relevance of the document at each rank, best ranked first, float64 (queries, at least 1); 0 for an
            irrelevant document, and where the list has ended.
        best: the relevances of the query's documents, the largest first, float64 (queries, at least 1); 0 where they
            have ended. Each query has at least one above 0.
        relevant: the number of relevant documents of each query, int64 (queries,).
    """
    right = gains > 0
    values = {f"recall_at_{cut}": right[:, :cut].sum(axis=1) / relevant for cut in CUTS}
    values |= {f"hit_at_{cut}": right[:, :cut].any(axis=1).astype(np.float64) for cut in CUTS}
    ranked = right[:, :RANKED]
    values[f"mrr_at_{RANKED}"] = np.where(ranked.any(axis=1), 1.0 / (ranked.argmax(axis=1) + 1), 0.0)
    values[f"ndcg_at_{RANKED}"] = _discounted(gains) / _discounted(best)
    return values


def metrics_of_order(queries: Sequence[RankedQuery], scores: NDArray[Any]) -> Metrics:
    """Return a reranker's metrics, as means over queries, with the number of queries and of documents.

    `scores`, (documents of all queries,), holds the scores of each query's documents in order. Of documents with equal
    scores, relevant ones are ranked last, so that a reranker that gives all the same score wins nothing. Each query has
    a relevant document.
    """
    values = _of_order(queries, scores)
    counts = {"queries": len(queries), "passages": len(scores)}
    return {name: float(value.mean()) for name, value in values.items()} | counts


def order_statistics(queries: Sequence[RankedQuery], scores: NDArray[Any]) -> Statistics:
    """Return statistics from which the metrics of any subset of the queries can be computed.

    The arguments are those of `metrics_of_order`.
    """
    values = _of_order(queries, scores)
    shares = [name for name in values if name.startswith("hit_at")]
    return averaged(values, main=MAIN, shares=shares)


def order_predictions(queries: Sequence[RankedQuery], scores: NDArray[Any]) -> list[dict[str, Any]]:
    """Return a row of predictions for each query: its documents, best ranked first, with score and relevance.

    The arguments are those of `metrics_of_order`.
    """
    return [
        {
            "row": one.row,
            "query": one.query,
            "ranked": [
                {"text": one.documents[n], "score": float(own[n]), "relevance": one.relevances[n]}
                for n in _order(one, own)
            ],
        }
        for one, own in zip(queries, _by_query(queries, scores), strict=True)
    ]


def _of_order(queries: Sequence[RankedQuery], scores: NDArray[Any]) -> dict[str, Floats]:
    gains, best = (np.zeros((len(queries), max(CUTS))) for _ in range(2))
    for place, (one, own) in enumerate(zip(queries, _by_query(queries, scores), strict=True)):
        relevances = np.array(one.relevances)
        gains[place, : len(own)] = relevances[_order(one, own)][: max(CUTS)]
        best[place, : len(own)] = np.sort(relevances)[::-1][: max(CUTS)]
    relevant = np.array([np.count_nonzero(one.relevances) for one in queries], dtype=np.int64)
    return ranking_values(gains, best, relevant)


def _by_query(queries: Sequence[RankedQuery], scores: NDArray[Any]) -> list[NDArray[Any]]:
    """Return the scores of each query's documents."""
    ends = np.cumsum([len(one.documents) for one in queries])
    return np.split(scores, ends[:-1])


def _order(query: RankedQuery, scores: NDArray[Any]) -> NDArray[np.int64]:
    """Return the positions of a query's documents, the best ranked first."""
    return np.lexsort((np.array(query.relevances), -scores))


def _discounted(gains: Floats) -> Floats:
    """Return the discounted sum of each query's gains at the first ten ranks, float64 (queries,)."""
    ranked = gains[:, :RANKED]
    return np.asarray(ranked @ (1.0 / np.log2(np.arange(2, ranked.shape[1] + 2))))
