"""Metrics of a reranker's order: known cases, scikit-learn's NDCG, and ties."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from ftool.data.rows.ranking import RankedQuery
from ftool.evaluation.metrics.ranking import metrics_of_order, order_predictions, order_statistics


def query(*relevances: float) -> RankedQuery:
    documents = tuple(f"text {place}" for place in range(len(relevances)))
    return RankedQuery("question", documents, relevances, row=3)


def test_metrics_of_known_orders() -> None:
    queries = [query(1, 0, 0), query(0, 1, 0, 0)]
    found = metrics_of_order(queries, np.array([3.0, 2.0, 1.0, 4.0, 2.0, 3.0, 1.0]))
    assert found["mrr_at_10"] == pytest.approx((1 + 1 / 3) / 2)
    assert found["hit_at_1"] == 0.5
    assert found["hit_at_5"] == 1.0
    assert found["ndcg_at_10"] == pytest.approx((1 + 1 / np.log2(4)) / 2)
    assert (found["queries"], found["passages"]) == (2, 7)


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 3), st.integers(-50, 50)), min_size=2, max_size=14).filter(
            lambda one: any(relevance for relevance, _ in one) and len({s for _, s in one}) == len(one)
        ),
        min_size=1,
        max_size=4,
    )
)
def test_ndcg_is_scikit_learn_s(lists: Any) -> None:
    queries = [query(*(float(relevance) for relevance, _ in one)) for one in lists]
    scores = np.array([score for one in lists for _, score in one], dtype=float)
    wanted = [
        ndcg_score([one.relevances], [[score for _, score in given]], k=10)
        for one, given in zip(queries, lists, strict=True)
    ]
    assert metrics_of_order(queries, scores)["ndcg_at_10"] == pytest.approx(float(np.mean(wanted)))


def test_a_constant_score_wins_nothing() -> None:
    found = metrics_of_order([query(1, *[0.0] * 12)], np.zeros(13))
    assert (found["mrr_at_10"], found["ndcg_at_10"], found["hit_at_5"]) == (0, 0, 0)


def test_statistics_of_all_queries_are_the_metrics() -> None:
    queries = [query(1, 0, 0), query(0, 1, 0, 0), query(2, 1, 0)]
    scores = np.random.default_rng(1).normal(size=10)
    statistics, metrics = order_statistics(queries, scores), metrics_of_order(queries, scores)
    assert len(statistics) == 3
    for name, value in statistics.metrics(np.ones((1, 3), np.int64)).items():
        assert value[0] == pytest.approx(metrics[name])


def test_predictions_have_the_best_document_first() -> None:
    (row,) = order_predictions([query(0, 1)], np.array([0.25, 0.75]))
    assert row == {
        "row": 3,
        "query": "question",
        "ranked": [
            {"text": "text 1", "score": 0.75, "relevance": 1},
            {"text": "text 0", "score": 0.25, "relevance": 0},
        ],
    }
