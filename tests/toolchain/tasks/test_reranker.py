"""A reranker from rows of queries and documents to a bundle that orders what a search finds."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.helpers.cli import ftool, succeeds, told
from tests.helpers.tiny_models import TinyModels

import ftool_runtime as ft
from ftool_runtime.knowledge import KnowledgeBase


@pytest.fixture(scope="session")
def folder(exported: TinyModels) -> Path:
    """A model folder of the tiny reranker, with its bundle."""
    return exported["text-ranking"]


def test_a_reranker_beats_the_order_of_chance(folder: Path) -> None:
    metrics = json.loads((folder / "run" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["metrics"]["mrr_at_10"] > 0.8  # four documents in an order of chance: 0.52
    assert "tfidf_cosine" in json.dumps(metrics["baselines"])


def test_sentence_transformers_reads_the_run_and_gives_the_bundle_s_scores(folder: Path) -> None:
    from sentence_transformers import CrossEncoder

    pairs = [("one song", "a band and one song"), ("one song", "some more rain")]
    reference = CrossEncoder(str(folder / "run"), device="cpu").predict(pairs)
    with ft.load(folder / "bundle", task="text-ranking") as model:
        scores = [answer.value for answer in model(pairs)]
    assert scores == pytest.approx(np.asarray(reference).tolist(), abs=0.05)  # int8
    assert all(0 < score < 1 for score in scores)


def test_ask_orders_passages_by_the_bundle(folder: Path, tmp_path: Path) -> None:
    documents = tmp_path / "documents"
    documents.mkdir()
    for name, text in (("a.md", "rain and sun"), ("b.md", "a song of the band"), ("c.md", "cheese and rice")):
        (documents / name).write_text(text, encoding="utf-8")
    succeeds("index", documents, "-o", tmp_path / "kb.db", "--embedder", "none")
    with KnowledgeBase.open(tmp_path / "kb.db", reranker=folder / "bundle") as base:
        found = base.search("rain song cheese")
    assert len(found) == 3
    scores = [one.rerank_score or 0.0 for one in found]
    assert scores == sorted(scores, reverse=True)
    assert all(scores)


def test_evaluate_gives_training_s_figures_and_writes_the_order(folder: Path, tmp_path: Path) -> None:
    trained = json.loads((folder / "run" / "metrics.json").read_text(encoding="utf-8"))
    found = told("evaluate", folder, "--predictions", tmp_path / "order.jsonl")
    assert found["metrics"]["mrr_at_10"] == pytest.approx(trained["metrics"]["mrr_at_10"])
    row = json.loads((tmp_path / "order.jsonl").read_text(encoding="utf-8").splitlines()[0])
    scores = [one["score"] for one in row["ranked"]]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 4


def test_a_classifier_of_labels_is_no_reranker(exported: TinyModels, tmp_path: Path) -> None:
    refused = ftool(
        "export", "--checkpoint", exported["text-classification"] / "run", "--task", "text-ranking",
        "-o", tmp_path / "bundle",
    )  # fmt: skip
    assert refused.exit_code == 2
    assert "a reranker has one output" in refused.output
