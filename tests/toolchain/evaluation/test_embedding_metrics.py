"""Metrics of embedders equal hand-computed values and those of the evaluators of sentence-transformers."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator

from ftool.data.dataset import Split
from ftool.data.rows.similarity import SimilarityKind, SimilarPair
from ftool.evaluation.confidence_intervals import metrics_of
from ftool.evaluation.metrics.classification import correlations
from ftool.evaluation.metrics.embeddings import (
    Search,
    best_of,
    embedding_metrics,
    embedding_statistics,
    main_metric,
    search_metrics,
    search_of,
    texts_to_embed,
)

PAIRS = Split(
    [
        SimilarPair("q1", "a"),
        SimilarPair("q1", "b"),
        SimilarPair("q2", "b"),
        SimilarPair("q3", "c"),
    ],
    "pairs.csv",
    "pairs",
)


def test_every_anchor_is_asked_of_all_passages_and_may_find_several() -> None:
    search = search_of(PAIRS)
    assert (search.queries, search.corpus) == (["q1", "q2", "q3"], ["a", "b", "c"])
    assert search.relevant == [{0, 1}, {1}, {2}]
    assert texts_to_embed(PAIRS) == [("query", ["q1", "q2", "q3"]), ("passage", ["a", "b", "c"])]


@pytest.mark.parametrize("kind", ["pairs", "triplets", "scored"])
def test_sparse_vectors_have_the_metrics_of_dense_ones(kind: SimilarityKind) -> None:
    draws = np.random.default_rng(0)
    examples = [
        SimilarPair(
            f"q{i // 2}",
            f"p{i}",
            **({"negative": f"n{i}"} if kind == "triplets" else {"score": i} if kind == "scored" else {}),
        )
        for i in range(12)
    ]
    split = Split(examples, "", "")
    dense = [
        draws.binomial(1, 0.3, size=(len(texts), 30)).astype(np.float32) for _, texts in texts_to_embed(split)
    ]
    found, expected = (
        metrics_of(embedding_statistics(split, vectors, "dot"), np.arange(12))
        for vectors in ([csr_array(one) for one in dense], dense)
    )
    assert found == pytest.approx(expected)
    assert len(found) > 1


def test_search_metrics_of_a_case_worked_by_hand() -> None:
    corpus = np.eye(3, dtype=np.float32)
    # q1 finds c, a, b; q2 finds b first; q3 finds a, b, c
    queries = np.array([[0.5, 0.4, 0.6], [0, 1, 0], [0.3, 0.2, 0.1]], dtype=np.float32)
    metrics = embedding_metrics(PAIRS, [queries, corpus], "dot")
    assert metrics["recall_at_1"] == pytest.approx((0 + 1 + 0) / 3)
    assert (metrics["recall_at_5"], metrics["hit_at_5"], metrics["hit_at_1"]) == (1, 1, pytest.approx(1 / 3))
    assert metrics["mrr_at_10"] == pytest.approx((1 / 2 + 1 + 1 / 3) / 3)
    dcg = (1 / np.log2(3) + 1 / np.log2(4)) / (1 + 1 / np.log2(3))
    assert metrics["ndcg_at_10"] == pytest.approx((dcg + 1 + 1 / np.log2(4)) / 3)
    assert (metrics["queries"], metrics["passages"]) == (3, 3)


def test_search_metrics_are_those_of_sentence_transformers() -> None:
    draws = np.random.default_rng(0)
    relevant = [
        frozenset(draws.choice(60, size=draws.integers(1, 13), replace=False).tolist()) for _ in range(40)
    ]
    search = Search([f"q{i}" for i in range(40)], [f"p{i}" for i in range(60)], relevant)
    queries, corpus = (draws.normal(size=(n, 8)).astype(np.float32) for n in (40, 60))
    found = best_of(queries, corpus, 10)
    ours = search_metrics(search, found)
    theirs = InformationRetrievalEvaluator(
        dict(enumerate(search.queries)),
        dict(enumerate(search.corpus)),
        {query: set(positions) for query, positions in enumerate(relevant)},
        accuracy_at_k=[1, 5, 10],
        precision_recall_at_k=[1, 5, 10],
    ).compute_metrics(
        [[{"corpus_id": p, "score": -rank} for rank, p in enumerate(row)] for row in found.tolist()]
    )
    for cut in (1, 5, 10):
        assert ours[f"recall_at_{cut}"] == pytest.approx(theirs["recall@k"][cut])
        assert ours[f"hit_at_{cut}"] == pytest.approx(theirs["accuracy@k"][cut])
    assert ours["mrr_at_10"] == pytest.approx(theirs["mrr@k"][10])
    assert ours["ndcg_at_10"] == pytest.approx(theirs["ndcg@k"][10])


def test_cosine_does_not_see_how_long_vectors_are_and_dot_does() -> None:
    split = Split([SimilarPair("q", "near"), SimilarPair("r", "long")], "x")
    queries = np.array([[1, 0], [0, 1]], dtype=np.float32)
    corpus = np.array([[1, 0], [9, 9]], dtype=np.float32)
    assert embedding_metrics(split, [queries, corpus], "cosine")["hit_at_1"] == 1.0
    assert embedding_metrics(split, [queries, corpus], "dot")["hit_at_1"] == 0.5


def test_triplets_count_how_often_the_positive_is_nearer() -> None:
    split = Split([SimilarPair("q", "a", "b"), SimilarPair("r", "b", "a")], "x")
    vectors = np.array([[1, 0], [0.9, 0.1]], dtype=np.float32), np.eye(2, dtype=np.float32)
    assert embedding_metrics(split, vectors, "cosine")["triplet_accuracy"] == 0.5


def test_scored_pairs_are_judged_by_rank_and_by_line() -> None:
    examples = [SimilarPair("a", "b", score=score) for score in (0.0, 1.0, 5.0)]
    split = Split(examples, "x")
    angles = np.array([1.5, 1.0, 0.9])  # the larger the score, the smaller the angle
    first = np.tile(np.array([[1, 0]], dtype=np.float32), (3, 1))
    second = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    metrics = embedding_metrics(split, [first, second], "cosine")
    assert metrics["spearman"] == pytest.approx(1.0)
    assert metrics["pearson"] == pytest.approx(np.corrcoef(np.cos(angles), [0, 1, 5])[0, 1], abs=1e-6)


@pytest.mark.parametrize("targets", [[1.0, 2.0, 3.0], [1.0]])
def test_what_does_not_vary_has_no_correlation(targets: list[float]) -> None:
    found = correlations(np.ones(len(targets)), targets)
    assert np.isnan([found["spearman"], found["pearson"]]).all()


def test_the_main_metric_is_the_kinds_own_unless_asked_for() -> None:
    assert [main_metric(kind, None) for kind in ("pairs", "triplets", "scored")] == [
        "mrr_at_10", "mrr_at_10", "spearman"
    ]  # fmt: skip
    assert main_metric("pairs", "recall_at_5") == "recall_at_5"
