"""Training embedders: search improves, a resumed run gives the same weights, and other libraries load the folder."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from tests.helpers.files import write_jsonl

from ftool.errors import TrainingError
from ftool.evaluation.evaluate import evaluate_recipe
from ftool.evaluation.results import TrainReport
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.recipe.sections import TrainSettings
from ftool.train_model import train as train_recipe
from ftool.training import checkpoints
from ftool_export.checkpoints.embedder import compute_vectors, load_embedder

SMALL: dict[str, Any] = {
    "epochs": 8,
    "learning_rate": 5e-3,
    "batch_size": 16,
    "threads": 1,
    "evaluations_per_epoch": 1,
    "early_stopping_patience": 0,
}

Train = Callable[..., tuple[TrainReport, Path]]


@pytest.fixture(scope="session")
def train(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Train:
    """Trains once a session for the same settings."""
    made: dict[Any, tuple[TrainReport, Path]] = {}

    def run(
        data: Path, *, resume: bool = False, prompts: tuple[str, str] | None = None, **settings: Any
    ) -> Any:
        key = (data, prompts, *sorted(settings.items()))
        if key not in made:
            folder = tmp_path_factory.mktemp("model")
            made[key] = (
                train_recipe(recipe(tiny_base, data, prompts, **settings), folder, resume=resume),
                folder,
            )
        return made[key]

    return run


def recipe(base: Path, data: Path, prompts: tuple[str, str] | None = None, **settings: Any) -> Recipe:
    query, passage = prompts or (None, None)
    return Recipe(
        task="feature-extraction",
        base=str(base),
        data=DataSettings(path=str(data), query_prompt=query, passage_prompt=passage),
        train=TrainSettings(**{**SMALL, **settings}),
    )


def test_training_on_pairs_finds_more(train: Train, searches: Path) -> None:
    report, folder = train(searches)
    fine = report.training["fine_tuning"]
    assert fine["best_score"] > fine["start_score"] + 0.1
    assert fine["best_score"] == pytest.approx(report.validation.metrics["mrr_at_10"], abs=1e-6)
    assert report.training["metric"] == "mrr_at_10"
    assert report.training["before"]["validation"]["mrr_at_10"] == pytest.approx(fine["start_score"])
    assert report.training["before"]["test"]["mrr_at_10"] < report.test.metrics["mrr_at_10"]
    assert [entry["step"] for entry in fine["validation_curve"]] == [6, 12, 18, 24, 30, 36, 42, 48]
    saved = json.loads((folder / "run" / "metrics.json").read_text())
    assert saved["metrics"] == report.test.metrics
    assert saved["data"]["kind"] == "pairs"


def test_what_is_trained_loads_by_sentence_transformers(train: Train, searches: Path) -> None:
    _, folder = train(searches, prompts=("tell me ", "about "))
    texts = ["rain and song", "the storm", "soup " * 40]
    loaded, theirs = load_embedder(folder / "run"), SentenceTransformer(str(folder / "run"), device="cpu")
    assert loaded.prompts == {"query": "tell me ", "passage": "about "}
    for kind, expected in (
        ("query", theirs.encode_query(texts)),
        ("passage", theirs.encode_document(texts)),
        (None, theirs.encode(texts)),
    ):
        np.testing.assert_allclose(compute_vectors(loaded, texts, kind), expected, atol=1e-5)


def test_evaluate_gives_the_figures_of_training(train: Train, searches: Path, tiny_base: Path) -> None:
    report, folder = train(searches)
    again = evaluate_recipe(recipe(tiny_base, searches), folder, on="run", data=None, split="test")
    assert again.metrics == pytest.approx(report.test.metrics, abs=1e-6)
    other = evaluate_recipe(
        recipe(tiny_base, searches),
        folder,
        on="run",
        data=DataSettings(path=str(searches)),
        split="validation",
    )
    assert other.metrics == pytest.approx(report.validation.metrics, abs=1e-6)


@pytest.mark.parametrize("loss", ["auto", "cosine"])
def test_training_on_scores_ranks_better(loss: str, train: Train, scored: Path) -> None:
    report, _ = train(scored, loss=loss)
    fine = report.training["fine_tuning"]
    assert report.training["metric"] == "spearman"
    assert fine["best_score"] > fine["start_score"] + 0.05
    assert {"spearman", "pearson"} == set(report.test.metrics)


@pytest.mark.parametrize("settings", [{"loss": "triplet"}, {"loss": "triplet", "samples": "single"}, {}])
def test_training_on_triplets(settings: dict[str, Any], train: Train, searches: Path, tmp_path: Path) -> None:
    for path in searches.iterdir():
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        negatives = [rows[position - 1]["passage"] for position in range(len(rows))]
        write_jsonl(
            tmp_path / path.name,
            [row | {"negative": other} for row, other in zip(rows[:48], negatives, strict=False)],
        )
    report, _ = train(tmp_path, epochs=4, **settings)
    fine = report.training["fine_tuning"]
    assert fine["best_score"] > fine["start_score"]
    assert report.test.metrics["triplet_accuracy"] > 0.5


def test_adapters_are_merged_into_the_weights(train: Train, searches: Path, tiny_base: Path) -> None:
    report, folder = train(searches, method="lora", learning_rate=1e-2)
    fine = report.training["fine_tuning"]
    assert fine["best_score"] > fine["start_score"]
    assert fine["merge_difference"] < 1e-5
    again = evaluate_recipe(recipe(tiny_base, searches), folder, on="run", data=None, split="test")
    assert again.metrics == pytest.approx(report.test.metrics, abs=1e-6)


def test_a_large_batch_is_computed_in_parts(train: Train, searches: Path) -> None:
    report, _ = train(searches, batch_size=96, epochs=20)
    fine = report.training["fine_tuning"]
    assert fine["updates"] == 20
    assert fine["best_score"] > fine["start_score"]


class CutError(Exception):
    """The power going."""


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_resumed_run_ends_with_the_weights_of_an_unbroken_one(
    method: str,
    train: Train,
    searches: Path,
    tiny_base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings: dict[str, Any] = {"method": method, "lora_rank": 4, "epochs": 3}
    whole, whole_folder = train(searches, **settings)
    mark = checkpoints.MarkComplete.on_save

    def on_save(self: Any, *args: Any, **kwargs: Any) -> None:
        mark(self, *args, **kwargs)
        raise CutError

    monkeypatch.setattr(checkpoints.MarkComplete, "on_save", on_save)
    with pytest.raises(CutError):
        train_recipe(recipe(tiny_base, searches, **settings), tmp_path, resume=False)
    monkeypatch.setattr(checkpoints.MarkComplete, "on_save", mark)
    resumed = train_recipe(recipe(tiny_base, searches, **settings), tmp_path, resume=True)
    assert resumed.test.metrics == whole.test.metrics
    texts = ["rain and song", "the storm"]
    np.testing.assert_array_equal(
        compute_vectors(load_embedder(tmp_path / "run"), texts),
        compute_vectors(load_embedder(whole_folder / "run"), texts),
    )
    assert not (tmp_path / "run.partial").exists()


def test_the_base_is_kept_where_training_makes_it_worse(
    train: Train, searches: Path, tiny_base: Path
) -> None:
    report, folder = train(searches, learning_rate=0.5, epochs=1)
    assert "which fine-tuning did not beat" in report.training["kept"]
    texts = ["rain and song", "the storm"]
    np.testing.assert_array_equal(
        compute_vectors(load_embedder(folder / "run"), texts),
        compute_vectors(load_embedder(tiny_base), texts),
    )


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        ("searches", {"loss": "cosent"}, "train.loss 'cosent' can't learn from pairs; .* multiple_negatives"),
        ("scored", {"loss": "triplet"}, "can't learn from scored; set it to auto or cosent or cosine"),
        ("searches", {"samples": "single"}, 'set it to "multi"'),
        ("scored", {"samples": "single"}, 'or train.loss to "cosine"'),
        ("searches", {"metric": "spearman"}, "which pairs don't have; leave it out for mrr_at_10"),
        ("scored", {"metric": "mrr_at_10"}, "which scored don't have; leave it out for spearman"),
    ],
)
def test_settings_that_do_not_fit_the_data_are_refused(
    kind: str,
    settings: dict[str, Any],
    words: str,
    tiny_base: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    data = request.getfixturevalue(kind)
    with pytest.raises(TrainingError, match=words):
        train_recipe(recipe(tiny_base, data, **settings), tmp_path, resume=False)
    assert not any(tmp_path.iterdir())


def test_a_metric_that_was_asked_for_decides(train: Train, searches: Path) -> None:
    report, _ = train(searches, metric="recall_at_1")
    best = report.training["fine_tuning"]["best_score"]
    assert best == pytest.approx(report.validation.metrics["recall_at_1"])
