"""Intervals beside every metric, and metrics that are undefined on few examples."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ftool.evaluation.confidence_intervals import every_estimate
from ftool.evaluation.metrics.answers import ScoredSpans, part_intervals, question_metrics
from ftool.evaluation.metrics.classification import (
    classification_metrics,
    classification_statistics,
    main_score,
    number_statistics,
)
from ftool.evaluation.metrics.generation import token_metrics, token_statistics
from ftool.evaluation.results import METRIC_NAMES, Evaluation
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.recipe.sections import TrainSettings
from ftool.train_model import train
from ftool.training.loop import defined


def evaluation(logits: Any, targets: Any, **kind: Any) -> Evaluation:
    labels = [str(place) for place in range(logits.shape[1])]
    statistics: Any = partial(classification_statistics, logits, targets, **kind)
    if kind.get("regression"):
        labels = labels if len(labels) > 1 else []
        statistics = partial(number_statistics, logits, targets, labels)
    return Evaluation(
        task="text-classification",
        on="run",
        split="test",
        examples=len(targets),
        metrics=classification_metrics(logits, targets, labels, **kind),
        statistics=statistics,
    )


def made(labels: int, *, multi_label: bool, examples: int = 80) -> tuple[Any, Any]:
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(examples, labels)).astype(np.float32)
    targets = rng.integers(2, size=(examples, labels)) if multi_label else rng.integers(labels, size=examples)
    return logits, targets


def test_examples_that_are_too_alike_give_no_interval_instead_of_one_without_width() -> None:
    targets = np.arange(40) % 2
    logits = np.eye(2, dtype=np.float32)[targets]  # all right: every sample has an F1 of 1
    found = evaluation(logits, targets, multi_label=False)
    assert found.intervals.keys() == {"accuracy"}
    assert found.intervals["accuracy"].low < 0.95
    assert "1.0000 to 1.0000" not in found.table()


@pytest.mark.parametrize("multi_label", [False, True])
def test_every_printed_metric_has_an_interval_around_it(multi_label: bool) -> None:
    found = evaluation(*made(4, multi_label=multi_label), multi_label=multi_label)
    single = {name for name, value in found.metrics.items() if isinstance(value, float)}
    assert found.intervals.keys() == single
    for name, interval in found.intervals.items():
        assert interval.low <= found.metrics[name] <= interval.high
        assert f"{interval.low:.4f} to {interval.high:.4f}" in found.table()
    assert found.to_json()["intervals"].keys() == single


@pytest.mark.parametrize("multi_label", [False, True])
def test_the_interval_is_of_the_metric_itself_if_a_label_never_occurs(multi_label: bool) -> None:
    logits, targets = made(6, multi_label=multi_label)
    logits[:, 5] = -20.0  # never answered
    if multi_label:
        targets[:, 5] = 0
    else:
        targets[targets == 5] = 4
    found = evaluation(logits, targets, multi_label=multi_label)
    for name in ("f1_macro", "f1_weighted"):
        assert found.intervals[name].value == pytest.approx(found.metrics[name])


def test_one_label_alone_is_scored_by_its_own_f1() -> None:
    logits, targets = np.array([[2.0], [2.0], [-2.0]], dtype=np.float32), np.array([[1], [0], [1]])
    assert main_score(logits, targets, multi_label=True) == 0.5  # one hit, one false alarm, one miss


def test_a_correlation_of_one_example_is_undefined_and_not_0() -> None:
    found = evaluation(
        np.array([[0.5]], dtype=np.float32), np.array([[1.0]]), multi_label=False, regression=True
    )
    assert found.metrics["spearman"] is None
    assert found.metrics["mse"] == 0.25
    assert found.table().splitlines()[2].split() == ["Spearman", "none"]
    json.dumps(found.to_json(), allow_nan=False)


def test_several_numbers_have_metrics_and_intervals_each_and_on_average() -> None:
    rng = np.random.default_rng(2)
    targets = rng.normal(size=(200, 3)) * [1, 10, 0] + [0, 5, 1]
    logits = np.where([True, False, True], targets + rng.normal(size=(200, 3)), 4.0).astype(np.float32)
    found = evaluation(logits, targets, multi_label=False, regression=True)
    first, *others = (found.metrics[f"spearman:{name}"] for name in "012")
    assert (others, 0.5 < first < 0.9) == ([None, None], True)  # constant answers; constant targets
    assert found.metrics["spearman"] == pytest.approx(first / 2)  # of the two outputs whose targets differ
    assert found.metrics["mse"] == pytest.approx(np.mean([found.metrics[f"mse:{name}"] for name in "012"]))
    assert found.intervals["spearman:0"].low < first < found.intervals["spearman:0"].high
    assert "spearman" in found.intervals
    assert "0, Spearman" in found.table()
    json.dumps(found.to_json(), allow_nan=False)


def test_an_undefined_score_selects_no_weights() -> None:
    assert [defined(score) for score in (0.7, float("nan"), None)] == [0.7, 0.0, 0.0]


def test_training_prints_and_stores_intervals_for_validation_and_test(
    tiny_base: Path, topics: Path, tmp_path: Path
) -> None:
    recipe = Recipe(
        base=str(tiny_base),
        data=DataSettings(path=str(topics)),
        train=TrainSettings(method="head", threads=1),
    )
    report = train(recipe, tmp_path)
    stored = json.loads((tmp_path / "run" / "metrics.json").read_text())
    for one in (stored, stored["validation"]):
        assert one["intervals"]["accuracy"]["low"] <= one["metrics"]["accuracy"]
    assert report.table().splitlines()[0].split("  ")[-1].strip() == "95% interval"


def test_perplexity_and_token_accuracy_have_intervals_over_examples() -> None:
    rng = np.random.default_rng(0)
    rows = [(rng.normal(size=(6, 5)).astype(np.float32), rng.integers(5, size=6).tolist()) for _ in range(40)]
    found, metrics = every_estimate(token_statistics(rows)), token_metrics(rows)
    assert found.keys() == metrics.keys() == {"perplexity", "token_accuracy"}
    for name, one in found.items():
        assert one.value == pytest.approx(metrics[name])
        assert one.low < one.value < one.high
    alike = every_estimate(token_statistics([rows[0]] * 40))["perplexity"]  # examples that do not differ
    assert np.isnan([alike.low, alike.high]).all()


def test_every_printed_metric_of_questions_without_answers_has_an_interval() -> None:
    rng = np.random.default_rng(0)
    scored = ScoredSpans(
        best=["nine", "at nine"] * 20,
        margins=rng.normal(size=40),
        references=[("nine",) if number % 3 else () for number in range(40)],
    )
    metrics, found = question_metrics(scored, 0.1), part_intervals(scored, 0.1)
    printed = metrics.keys() & METRIC_NAMES.keys() - {"f1", "exact_match"}
    assert printed == {"has_answer_f1", "no_answer_f1", "best_f1", "span_f1"}
    for name in printed:
        assert found[name].value == pytest.approx(metrics[name])
        assert found[name].low <= metrics[name] <= found[name].high
        assert found[name].low < found[name].high
    assert part_intervals(ScoredSpans(best=["a"], margins=np.zeros(1), references=[("a",)]), None) == {}
