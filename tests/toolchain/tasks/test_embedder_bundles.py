"""An embedder is trained and exported by the commands; run/ and bundle/ give the same metrics."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.helpers.cli import ftool, told

import ftool_runtime as ft
from ftool.export import examples_for
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool_export.checkpoints.embedder import load_embedder
from ftool_export.examples.embedding import EmbeddingExamples


def test_the_manifest_says_how_vectors_are_made(searcher: Path) -> None:
    manifest = ft.Manifest.read(searcher / "bundle")
    assert (manifest.task, manifest.labels) == ("feature-extraction", ())
    contract = manifest.embedding
    assert contract is not None
    assert (contract.dimension, contract.pooling, contract.normalize) == (32, "mean", True)
    assert (contract.prompts, contract.similarity) == ({"query": "tell me "}, "cosine")
    assert manifest.evidence["gate"]["compared"] == "nearest texts"


def test_run_and_bundle_are_measured_by_the_same_code(searcher: Path) -> None:
    run, bundle = told("evaluate", searcher), told("evaluate", searcher, "--on", "bundle")
    assert (bundle["on"], bundle["examples"]) == ("bundle", 32)
    assert set(run["metrics"]) == set(bundle["metrics"])
    assert bundle["metrics"]["mrr_at_10"] == pytest.approx(run["metrics"]["mrr_at_10"], abs=0.1)
    text = ftool("evaluate", searcher).stdout
    assert "recall@5" in text
    assert "MRR@10" in text


def test_parity_holds_in_fp32_with_every_neighbour_the_same(searcher: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text((searcher / "recipe.toml").read_text())
    (tmp_path / "run").symlink_to(searcher / "run")
    told("export", tmp_path, "--precision", "fp32")
    report = told("parity", tmp_path)
    assert report["passed"]
    assert report["agreement"] == 1.0
    assert report["max_difference"] < 1e-4
    with ft.Embedder.load(tmp_path / "bundle", threads=1) as model:
        loaded = load_embedder(searcher / "run")
        examples = examples_for(Recipe.read(tmp_path / "recipe.toml"), loaded, "test")
        assert examples.inputs[0].startswith("tell me ")
        outputs = model.outputs(examples.inputs)
        measured = told("evaluate", tmp_path, "--on", "bundle")["metrics"]["mrr_at_10"]
        assert examples.score(outputs) == pytest.approx(measured)


def test_predict_embeds_texts_by_kind(searcher: Path, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("rain and song\nthe storm\n")
    output = tmp_path / "vectors.jsonl"
    result = ftool(
        "predict", searcher, "--input", tmp_path / "texts.txt", "--output", output, "--kind", "query"
    )
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert [row["text"] for row in rows] == ["rain and song", "the storm"]
    with ft.Embedder.load(searcher / "bundle", threads=1) as model:
        expected = model(["rain and song", "the storm"], kind="query")
        np.testing.assert_allclose([row["embedding"] for row in rows], expected, atol=1e-6)
        assert model.similarity(expected[0], expected[1]) < 1


def test_the_bundle_verifies_itself(searcher: Path) -> None:
    assert ft.verify(searcher / "bundle").passed


def test_other_data_can_be_evaluated_and_scored_pairs_have_other_figures(
    searcher: Path, scored: Path
) -> None:
    report = told("evaluate", searcher, "--on", "bundle", "--data", scored)
    assert set(report["metrics"]) == {"spearman", "pearson"}


def test_a_checkpoint_without_data_is_exported_on_sample_texts(tiny_base: Path, tmp_path: Path) -> None:
    command = ("export", "--checkpoint", tiny_base, "--task", "feature-extraction", "--precision", "fp32")
    report = told(*command, "-o", tmp_path / "bundle")
    assert report["gate"]["judged"] is False
    with ft.Embedder.load(tmp_path / "bundle", threads=1) as model:
        assert model("rain").shape == (32,)


@pytest.mark.parametrize("pooling", ["cls", "last"])
def test_every_pooling_is_exported(pooling: str, tiny_base: Path, searches: Path, tmp_path: Path) -> None:
    settings = ("--set", f"train.pooling={pooling}", "--set", "train.epochs=1", "--set", "train.threads=1")
    arguments = ("--task", "feature-extraction", "--base", tiny_base, "--data", searches)
    told("train", tmp_path / "model", *arguments, *settings)
    told("export", tmp_path / "model", "--precision", "fp32")
    assert told("parity", tmp_path / "model")["agreement"] == 1.0
    contract = ft.Manifest.read(tmp_path / "model" / "bundle").embedding
    assert contract is not None
    assert contract.pooling == pooling


def test_neighbours_are_compared_across_the_two_sides() -> None:
    unit = np.eye(3, dtype=np.float32)
    one = EmbeddingExamples(inputs=["q", "r", "a", "b"], first_side=2)
    before = np.stack([unit[0], unit[1], unit[0], unit[1]])
    turned = np.stack([unit[1], unit[1], unit[0], unit[1]])  # q now finds b first; a finds q and r alike
    assert one.same(before, before).all()
    assert one.same(before, turned)[:, 0].tolist() == [False, True, True, True]
    assert one.distances(before, before).tolist() == [0.0] * 4
    assert one.distances(before, turned)[0] == pytest.approx(1.0)


def test_neighbours_among_all_leave_a_text_itself_out() -> None:
    examples = EmbeddingExamples(inputs=["a", "b", "c"])
    before = np.array([[1, 0], [0.9, 0.1], [0, 1]], dtype=np.float32)
    after = np.array([[1, 0], [0.1, 0.9], [0, 1]], dtype=np.float32)
    assert examples.same(before, after)[:, 0].tolist() == [True, False, True]


def test_a_recipe_for_embeddings_explains_its_own_settings(tmp_path: Path) -> None:
    recipe = Recipe(task="feature-extraction", data=DataSettings(path="x.csv"))
    recipe.write(tmp_path / "recipe.toml")
    text = (tmp_path / "recipe.toml").read_text()
    assert "anchor" in text
    assert "loss" in text
    assert "class_weights" not in text
