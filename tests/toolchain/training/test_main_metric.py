"""`train.metric` of every task: it selects the weights, and decides whether a bundle is accepted."""

import csv
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.helpers.cli import ftool
from tests.helpers.files import write_jsonl

from ftool.errors import TrainingError
from ftool.evaluation.evaluate import evaluate
from ftool.evaluation.metrics.answers import ScoredSpans, answer_scores, tune_threshold
from ftool.evaluation.metrics.classification import classification_metrics, main_score
from ftool.evaluation.metrics.entities import entity_metrics, entity_score
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.recipe.sections import TrainSettings
from ftool.train_model import train


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sentences of which nearly all are about the weather, so that accuracy and macro F1 differ."""
    folder = tmp_path_factory.mktemp("uneven")
    rng = random.Random(3)
    words = {"weather": ["rain", "sun", "wind"], "music": ["song", "band", "guitar"]}
    for name, count in (("train", 120), ("validation", 60), ("test", 60)):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("text", "label"))
            for number in range(count):
                label = "music" if number % 8 == 0 else "weather"
                mixed = [rng.choice(words[label]), rng.choice(words["weather"]), f"tell about {name}{number}"]
                rows.writerow((" ".join(mixed), label))
    return folder


def recipe(base: Path, data: Path, **settings: Any) -> Recipe:
    separator = "|" if "tags" in data.name else None
    quick = {"method": "head", "threads": 1}
    return Recipe(
        base=str(base),
        data=DataSettings(path=str(data), label_separator=separator),
        train=TrainSettings(**{**quick, **settings}),
    )


@pytest.mark.parametrize("metric", ["f1_macro", "f1_weighted", "accuracy"])
def test_a_classifiers_metric_decides_everything(
    tiny_base: Path, uneven: Path, tmp_path: Path, metric: str
) -> None:
    made = recipe(tiny_base, uneven, metric=metric)
    made.write(tmp_path / "recipe.toml")
    report = train(made, tmp_path)
    assert report.training["head"]["best"]["score"] == pytest.approx(report.validation.metrics[metric])
    assert report.recipe["train"]["metric"] == metric
    assert report.test.baselines is not None
    assert report.test.baselines.metric == metric
    assert report.test.baselines.model.value == pytest.approx(report.test.metrics[metric])
    again = evaluate(tmp_path, by=["label"], mistakes=True)
    assert again.slices[0].main == metric
    assert again.mistakes is not None
    assert again.mistakes.metric == metric
    exported = json.loads(ftool("export", tmp_path, "--precision", "fp32", "--json").stdout)
    assert exported["gate"]["metric"] == metric
    assert exported["gate"]["reference"] == pytest.approx(report.validation.metrics[metric], abs=1e-6)


@pytest.mark.parametrize("metric", ["f1_micro", "subset_accuracy"])
def test_a_metric_of_several_labels(tiny_base: Path, tags: Path, tmp_path: Path, metric: str) -> None:
    report = train(recipe(tiny_base, tags, metric=metric), tmp_path)
    assert report.training["head"]["best"]["score"] == pytest.approx(report.validation.metrics[metric])


def test_without_a_choice_the_metric_that_decided_is_recorded(
    tiny_base: Path, tags: Path, tmp_path: Path
) -> None:
    assert train(recipe(tiny_base, tags), tmp_path).recipe["train"]["metric"] == "f1_macro"


@pytest.mark.parametrize(
    ("data", "metric", "message"),
    [
        ("topics", "f1_micro", "texts with one label do not have; use accuracy or f1_macro or f1_weighted"),
        ("tags", "accuracy", "texts with several labels do not have; use f1_macro or f1_micro"),
        ("topics", "spearman", "train.metric is 'spearman', which texts with one label do not have"),
    ],
)
def test_a_metric_of_other_data_is_refused_before_training(
    tiny_base: Path, tmp_path: Path, request: pytest.FixtureRequest, data: str, metric: str, message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        train(recipe(tiny_base, request.getfixturevalue(data), metric=metric), tmp_path)


def test_pearson_can_select_a_regressor(tiny_base: Path, tmp_path: Path) -> None:
    rows = [
        {"text": "rain " * (number % 5) + f"sun {number}", "score": number % 5 + 0.5} for number in range(80)
    ]
    made = recipe(tiny_base, write_jsonl(tmp_path / "scores.jsonl", rows), metric="pearson")
    report = train(made, tmp_path)
    assert report.training["head"]["best"]["score"] == pytest.approx(
        report.validation.metrics["pearson"], abs=1e-6
    )


@pytest.mark.parametrize("metric", ["f1", "f1_macro", "precision", "recall", "accuracy"])
def test_scores_of_entities_are_the_reported_metrics(metric: str) -> None:
    truth = [["B-a", "I-a", "O", "B-b"], ["O", "B-b", "O", "O"]]
    answers = [["B-a", "O", "O", "B-b"], ["O", "B-b", "B-a", "O"]]
    assert entity_score(truth, answers, metric) == pytest.approx(entity_metrics(truth, answers)[metric])


@pytest.mark.parametrize("metric", ["accuracy", "f1_macro", "f1_weighted"])
def test_scores_of_labels_are_the_reported_metrics(metric: str) -> None:
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(size=(50, 4)).astype(np.float32), rng.integers(4, size=50)
    reported = classification_metrics(logits, targets, list("abcd"), multi_label=False)[metric]
    assert main_score(logits, targets, multi_label=False, metric=metric) == pytest.approx(reported)


def test_exact_match_tunes_another_threshold_than_f1() -> None:
    """The sure answer overlaps and is worth nothing exactly, so exact match had rather leave the question out."""
    scored = ScoredSpans(
        best=["the red car", "blue"], margins=np.array([2.0, 1.0]), references=[["red bus car"], ["blue"]]
    )
    assert answer_scores(scored.best, scored.references, "exact_match").tolist() == [0.0, 1.0]
    assert answer_scores(scored.best, scored.references, "f1")[0] > 0
    assert tune_threshold(scored, "exact_match")[1] == 0.5
    assert tune_threshold(scored)[1] > 0.5


@pytest.mark.parametrize(
    ("task", "metric"), [("token-classification", "f1_macro"), ("question-answering", "exact_match")]
)
def test_taggers_and_readers_train_and_export_by_their_metric(
    tiny_base: Path, tmp_path: Path, task: str, metric: str
) -> None:
    rng = random.Random(0)
    rows: list[dict[str, Any]] = []
    for number in range(60):
        words = [rng.choice(["rain", "sun", "the", "a"]) for _ in range(6)]
        if task == "token-classification":
            rows.append(
                {"tokens": words, "tags": ["B-x" if one in ("rain", "sun") else "O" for one in words]}
            )
        else:
            context = " ".join([*words, "song", "band"])
            rows.append(
                {"id": str(number), "question": "tell about", "context": context, "answers": ["song band"],
                 "answer_start": [context.index("song")]}
            )  # fmt: skip
    made = Recipe(
        task=task,
        base=str(tiny_base),
        data=DataSettings(path=str(write_jsonl(tmp_path / "rows.jsonl", rows))),
        train=TrainSettings(metric=metric, max_length=24, stride=6, epochs=2, learning_rate=3e-3, threads=1),
    )
    made.write(tmp_path / "recipe.toml")
    report = train(made, tmp_path)
    assert report.training["fine_tuning"]["best_score"] == pytest.approx(report.validation.metrics[metric])
    gate = json.loads(ftool("export", tmp_path, "--precision", "fp32", "--json").stdout)["gate"]
    assert gate["metric"] == metric
    assert gate["reference"] == pytest.approx(report.validation.metrics[metric])
