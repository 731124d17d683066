"""Baselines beside a trained model: what they score, what is said, and where it is stored."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.helpers.files import write_jsonl

from ftool.data.load import load_dataset
from ftool.evaluation.baselines import BaselineReport, FittedBaseline, compare_with_baselines
from ftool.evaluation.confidence_intervals import Estimate
from ftool.evaluation.evaluate import evaluate
from ftool.evaluation.statistics import averaged
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.recipe.sections import TrainSettings
from ftool.train import train
from ftool.training.linear_baseline import TextTargets, constant_logits, fit_linear


def baselines_of(tmp_path: Path, rows: list[dict[str, Any]], **settings: Any) -> dict[str, FittedBaseline]:
    """The baselines that are trained on two thirds of the rows and tested on the last third."""
    for number, name in enumerate(("train", "validation", "test")):
        write_jsonl(tmp_path / f"{name}.jsonl", rows[number::3])
    recipe = Recipe(data=DataSettings(path=str(tmp_path), **settings))
    fit = recipe.row.baselines
    assert fit is not None
    return {one.name: one for one in fit(load_dataset(recipe.row.reader, recipe.data), recipe)}


def score(baseline: FittedBaseline) -> float:
    statistics = baseline.statistics()
    return float(statistics.metrics(np.ones((1, len(statistics)), dtype=np.int64))[statistics.main][0])


ANIMALS = ("cat", "dog", "cow")
KINDS: dict[
    str, tuple[list[dict[str, Any]], float, float]
] = {  # rows, score of the constant, least of the linear
    "labels": (
        [
            {"text": f"a {ANIMALS[(i // 3) % 3]} number {i}", "label": ANIMALS[(i // 3) % 3]}
            for i in range(90)
        ],
        1 / 3,
        1.0,
    ),
    "several labels": (
        [
            {"text": f"{a} and {b} {i}", "labels": sorted({a, b})}
            for i in range(90)
            for a, b in [(ANIMALS[(i // 3) % 3], ANIMALS[(i // 9) % 3])]
        ],
        5 / 7,  # each label applies to 5 of 9 texts
        0.9,
    ),
    "pairs": (
        [
            {"text": f"the {a} eats", "text_pair": f"a {b} sleeps", "label": "same" if a == b else "other"}
            for i in range(270)
            for a, b in [(ANIMALS[(i // 3) % 3], ANIMALS[(i // 9) % 3])]
        ],
        2 / 3,
        0.9,
    ),
    "one script without spaces": (
        [{"text": f"{'天气很好' if i % 2 else '音乐不错'}{i}吗", "label": "ab"[i % 2]} for i in range(90)],
        0.5,
        1.0,
    ),
    "signs alone": (
        [{"text": "!!!" if i % 2 else "???", "label": "ab"[i % 2]} for i in range(90)],
        0.5,
        1.0,
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_baselines_answer_every_kind_of_classification(tmp_path: Path, kind: str) -> None:
    rows, constant, linear = KINDS[kind]
    found = baselines_of(tmp_path, rows)
    assert score(found["majority"]) == pytest.approx(constant, abs=0.01)
    assert score(found["tfidf_linear"]) >= linear


def test_baselines_answer_numbers(tmp_path: Path) -> None:
    rows = [{"text": "good " * (i % 7) + f"film {i}", "score": (i % 7) + 0.5} for i in range(120)]
    found = baselines_of(tmp_path, rows, label="score")
    assert score(found["tfidf_linear"]) > 0.9


def test_a_label_that_all_or_no_sampled_texts_have_is_answered() -> None:
    train_on = TextTargets(["red", "blue", "red blue"], np.array([[1, 0, 1], [1, 0, 0], [1, 0, 1]]))
    logits = fit_linear(train_on, 3, regression=False, seed=0).logits(["red", "green"])
    assert (logits[:, 0] > 0).all()
    assert (logits[:, 1] < 0).all()


def test_the_constant_answer_is_the_most_frequent_label() -> None:
    train_on = TextTargets(["a", "b", "c"], np.array([2, 0, 2]))
    assert constant_logits(train_on, 2, 3, regression=False).argmax(axis=1).tolist() == [2, 2]


def test_large_data_is_sampled_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftool.training.linear_baseline._MOST_WORK", 200)
    texts = [f"text {number}" for number in range(100)]  # 690 characters, two labels
    train_on = TextTargets(texts, np.arange(100) % 2)
    assert fit_linear(train_on, 2, regression=False, seed=0).learnt_from == 15


def compared(model: list[int], baseline: list[int]) -> BaselineReport:
    """A model beside one baseline, by which of their answers are right."""
    fitted = FittedBaseline(
        name="tfidf_linear",
        title="a linear model on TF-IDF",
        statistics=lambda: averaged({"accuracy": np.array(baseline)}, main="accuracy", shares=("accuracy",)),
        learnt_from=10,
    )
    own = averaged({"accuracy": np.array(model)}, main="accuracy", shares=("accuracy",))
    return compare_with_baselines(lambda: [fitted], own, _no_examples(), "add examples")


def _no_examples() -> Any:
    from ftool.data.dataset import Split

    return Split([], "")


@pytest.mark.parametrize(
    ("model", "baseline", "verdict"),
    [
        ([1] * 50, [0] * 25 + [1] * 25, "This model beats both baselines."),
        (
            [1] * 50,
            [0] + [1] * 49,
            "This model does not clearly beat a linear model on TF-IDF (difference +0.0200",
        ),
        (
            [0] * 20 + [1] * 30,
            [1] * 50,
            "This model does not beat a linear model on TF-IDF (difference -0.4000",
        ),
    ],
    ids=["better", "within chance", "worse"],
)
def test_the_verdict_says_plainly_whether_the_model_is_better(
    model: list[int], baseline: list[int], verdict: str
) -> None:
    report = compared(model, baseline)
    assert report.verdict().startswith(verdict)
    assert report.to_json()["beats_all"] == (verdict == "This model beats both baselines.")
    if report.unbeaten:
        assert report.verdict().endswith("Next: add examples.")


def test_the_difference_is_paired() -> None:
    """Examples that are hard for both do not widen the interval: 2 of 100 answers differ, both for the better."""
    hard = [0] * 49 + [1] * 49
    gap = compared([*hard, 1, 1], [*hard, 0, 0]).baselines["tfidf_linear"].advantage
    assert gap is not None
    assert gap.value == pytest.approx(0.02)
    assert gap.low >= 0
    assert gap.high <= 0.06  # twice the unpaired interval would reach 0.15


def test_a_training_stores_and_shows_baselines_and_evaluate_shows_them_again(
    tiny_base: Path, topics: Path, tmp_path: Path
) -> None:
    recipe = Recipe(
        base=str(tiny_base),
        data=DataSettings(path=str(topics)),
        train=TrainSettings(method="head", threads=1),
    )
    recipe.write(tmp_path / "recipe.toml")
    report = train(recipe, tmp_path)
    stored = json.loads((tmp_path / "run" / "metrics.json").read_text())["baselines"]
    assert stored["metric"] == "accuracy"
    assert stored["models"]["tfidf_linear"]["value"] == 1.0
    assert stored["models"]["majority"]["value"] == pytest.approx(1 / 3)
    assert stored["models"]["tfidf_linear"]["advantage"]["value"] == pytest.approx(
        report.test.metrics["accuracy"] - 1.0
    )
    assert "does not beat a linear model on TF-IDF" in report.table()
    assert "--set train.method=full" in report.table()

    again = evaluate(tmp_path)
    assert again.baselines is not None
    assert "a linear model on TF-IDF" in again.table()
    assert again.baselines.model.value == report.test.metrics["accuracy"]
    assert evaluate(tmp_path, split="validation").baselines is None  # they were not measured there


def test_a_score_that_is_not_known_is_not_beaten() -> None:
    report = compared([1] * 50, [0] * 50)
    unknown = replace(
        report.baselines["tfidf_linear"], score=Estimate(np.nan, np.nan, np.nan), advantage=None
    )
    assert unknown.beaten_by(report.model)
