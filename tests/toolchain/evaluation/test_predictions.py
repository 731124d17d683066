"""`ftool evaluate --predictions`: what each task writes, from which the metrics can be computed again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.helpers.cli import told
from tests.helpers.tiny_models import TinyModels

from ftool.data.dataset import Split
from ftool.data.rows.similarity import SimilarPair
from ftool.evaluation.metrics.embeddings import embedding_metrics, embedding_predictions

Rows = list[dict[str, Any]]


def reciprocal_ranks(rows: Rows) -> float:
    return float(np.mean([1 / row["rank"] if row["rank"] <= 10 else 0 for row in rows]))


def exact_matches(rows: Rows) -> float:
    return float(np.mean([row["predicted"].strip() in row["references"] for row in rows]))


@pytest.mark.parametrize(
    ("task", "metric", "compute", "keys"),
    [
        ("translation", "exact_match", exact_matches, {"row", "input", "predicted", "references"}),
        (
            "feature-extraction",
            "mrr_at_10",
            reciprocal_ranks,
            {"row", "anchor", "positive", "similarity", "rank", "found"},
        ),
    ],
)
def test_metrics_can_be_computed_from_the_predictions(
    trained: TinyModels,
    tmp_path: Path,
    task: str,
    metric: str,
    compute: Callable[[Rows], float],
    keys: set[str],
) -> None:
    report = told("evaluate", trained[task], "--predictions", tmp_path / "told.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "told.jsonl").read_text().splitlines()]
    assert len(rows) == report["examples"]
    assert rows[0].keys() == keys
    assert compute(rows) == pytest.approx(report["metrics"][metric])


def test_a_passage_is_ranked_among_all_of_the_split_in_the_order_of_the_metrics() -> None:
    split = Split(
        [SimilarPair("q", "a", negative="b", row=2), SimilarPair("r", "c", negative="d", row=3)], ""
    )
    passages = np.array([[1, 0], [1, 0], [0, 1], [0.5, 0.5]], dtype=np.float32)  # a is before b, as alike
    queries = np.array([[1, 0], [1, 0]], dtype=np.float32)
    rows = embedding_predictions(split, [queries, passages], "dot")
    assert [(row["row"], row["rank"], row["similarity"]) for row in rows] == [(2, 1, 1.0), (3, 4, 0.0)]
    assert [one["text"] for one in rows[1]["found"]] == ["a", "b", "d", "c"]
    assert reciprocal_ranks(rows) == embedding_metrics(split, [queries, passages], "dot")["mrr_at_10"]


def test_a_scored_pair_has_the_score_and_the_similarity() -> None:
    split = Split([SimilarPair("x", "y", score=4.0, row=2)], "")
    vectors = np.array([[3, 4]], dtype=np.float32)
    assert embedding_predictions(split, [vectors, vectors], "cosine") == [
        {"row": 2, "anchor": "x", "positive": "y", "score": 4.0, "predicted": pytest.approx(1.0)}
    ]
