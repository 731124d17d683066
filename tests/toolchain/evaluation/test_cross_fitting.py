"""Numbers tuned on the examples that judge a model: each example is judged with numbers tuned on others."""

import csv
import random
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ftool.data.dataset import Split, fingerprint
from ftool.data.load import load_dataset
from ftool.data.rows.labels import LabelledText
from ftool.data.rows.questions import Question
from ftool.evaluation.cross_fitting import FOLDS, cross_fitted, tuned_for, tuned_on
from ftool.evaluation.metrics.answers import ScoredSpans, question_statistics, threshold_tuner
from ftool.evaluation.metrics.calibration import tune_thresholds
from ftool.evaluation.metrics.classification import classification_statistics, main_score
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.recipe.sections import TrainSettings
from ftool_runtime.numerics import sigmoid

LABELS = ("sun", "rain")
RECIPE = Recipe(task="text-classification", data=DataSettings(path="none.csv"))


@pytest.mark.parametrize("examples", [1, 2, 7, 10, 95])
def test_no_example_takes_part_in_tuning_its_own_numbers(examples: int) -> None:
    tuned: list[np.ndarray] = []

    def tune(positions: np.ndarray) -> tuple[float, float]:
        tuned.append(positions)
        return len(tuned) - 1, 0.5

    found = cross_fitted(tune, examples)
    assert found.shape == (examples, 2)
    for example, (number, constant) in enumerate(found):
        assert constant == 0.5
        others = tuned[int(number)]
        assert (example in others) == (examples == 1)
        assert len(others) >= examples - np.ceil(examples / FOLDS) or examples == 1


def test_numbers_are_cross_fitted_only_on_the_examples_that_they_are_tuned_on() -> None:
    texts = [LabelledText(str(row), ("sun",)) for row in range(20)]
    new = LabelledText("new", ("sun",))
    same, part, other = Split(list(texts), "copy"), Split(texts[3:10], "part"), Split([*texts, new], "other")
    counts = tuned_for(same, Split(texts, ""), len)
    np.testing.assert_array_equal(counts, np.full(20, 18))
    np.testing.assert_array_equal(tuned_for(part, Split(texts, ""), len), np.full(7, 18))
    assert tuned_for(other, Split(texts, ""), len) == 20


def loss_at(rare: float, worse: float, seed: int) -> tuple[float, float]:
    """The fall of macro-F1 from a model to a copy that differs by noise: as tuned, and cross-fitted.

    Both see the labels through noise; `worse` is the further noise of the copy, in the same units as its small own one.
    """
    rng = np.random.default_rng(seed)
    targets = rng.random((400, 20)) < rare
    signal = 2.0 * targets + rng.normal(size=targets.shape)
    ours = (signal + 0.15 * rng.normal(size=targets.shape)).astype(np.float32)
    theirs = (signal + (0.15 + worse) * rng.normal(size=targets.shape)).astype(np.float32)
    scores = sigmoid(ours)

    def fall(thresholds: Any) -> float:
        one, other = (
            main_score(each, targets, multi_label=True, thresholds=thresholds) for each in (ours, theirs)
        )
        return one - other

    tune = lambda rows: tune_thresholds(scores[rows], targets[rows])  # noqa: E731
    return fall(tune(np.arange(400))), fall(cross_fitted(tune, 400))


def test_an_equally_good_copy_loses_nothing_once_thresholds_are_cross_fitted() -> None:
    tuned, crossed = np.mean([loss_at(0.02, 0.0, seed) for seed in range(30)], axis=0)
    assert tuned > 0.03  # the same noise, but thresholds that were tuned to the other one
    assert abs(crossed) < 0.01


def test_a_copy_that_is_really_worse_still_loses() -> None:
    crossed = np.mean([loss_at(0.02, 1.0, seed)[1] for seed in range(10)])
    assert crossed > 0.05


def test_statistics_take_thresholds_of_each_example() -> None:
    rng = np.random.default_rng(3)
    logits, targets = rng.normal(size=(30, 2)).astype(np.float32), rng.integers(0, 2, size=(30, 2))
    own = np.where(np.arange(30)[:, None] < 15, [0.2, 0.9], [0.6, 0.4])
    found = classification_statistics(logits, targets, multi_label=True, thresholds=own)
    whole = found.metrics(np.ones((1, 30), dtype=np.int64))["f1_macro"][0]
    assert whole == pytest.approx(main_score(logits, targets, multi_label=True, thresholds=own))
    for half, limits in ((np.arange(30) < 15, (0.2, 0.9)), (np.arange(30) >= 15, (0.6, 0.4))):
        alone = main_score(logits[half], targets[half], multi_label=True, thresholds=limits)
        assert found.metrics(half[None].astype(np.int64))["f1_macro"][0] == pytest.approx(alone)


def test_a_no_answer_threshold_is_cross_fitted_too() -> None:
    asked = ScoredSpans(
        best=["x"] * 4, margins=np.array([3.0, 1.0, -1.0, -3.0]), references=[["x"], ["x"], [], []]
    )
    tune = threshold_tuner(asked, "f1")
    assert tune(np.array([0, 3])) == pytest.approx(0.0)
    assert tune(np.array([1, 2, 3])) == pytest.approx(0.0)
    assert tune(np.array([0, 2])) == pytest.approx(-1.0)
    statistics = question_statistics(asked, np.array([-9.0, 0.0, 9.0, 0.0]))
    assert statistics.metrics(np.eye(4, dtype=np.int64))["f1"].tolist() == [0.0, 1.0, 0.0, 1.0]


def multi_label(count: int, seed: int) -> Split[LabelledText]:
    rng = random.Random(seed)
    rows = [
        LabelledText(f"{seed} {row}", tuple(one for one in LABELS if rng.random() < 0.3))
        for row in range(count)
    ]
    return Split(rows, "")


def test_the_gate_judges_both_sides_with_cross_fitted_thresholds_where_they_were_tuned() -> None:
    split, other = multi_label(60, 0), multi_label(60, 1)
    logits = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    targets = np.array([[label in one.labels for label in LABELS] for one in split.examples])
    shipped = tune_thresholds(sigmoid(logits), targets)
    loaded: Any = SimpleNamespace(
        labels=LABELS, multi_label=True, regression=False, pairs=False, task="text-classification",
        thresholds=shipped, has_tuned_numbers=True, tuned_on=fingerprint(split.examples), training_sha256="ab",
    )  # fmt: skip
    examples = RECIPE.row.examples(loaded, split, RECIPE)
    examples._torch[:] = [(loaded, logits)]
    assert examples.cross_fitted
    as_shipped = main_score(logits, targets, multi_label=True, thresholds=shipped)
    assert examples.score(logits) < as_shipped - 0.01
    assert examples.uncertainty(logits, logits) == 0
    assert examples.uncertainty(logits, -logits) > 0

    elsewhere = RECIPE.row.examples(loaded, other, RECIPE)
    assert not elsewhere.cross_fitted
    targets = np.array([[label in one.labels for label in LABELS] for one in other.examples])
    expected = main_score(logits, targets, multi_label=True, thresholds=shipped)
    assert elsewhere.score(logits) == pytest.approx(expected)


def test_a_run_that_does_not_say_what_it_was_tuned_on_is_judged_as_it_is_and_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loaded = SimpleNamespace(tuned_on=None, training_sha256="ab", task="question-answering")
    split = Split([Question("q", "c", (), (), id="1")], "")
    assert not tuned_on(loaded, split)
    assert "train again" in caplog.text
    caplog.clear()
    assert not tuned_on(SimpleNamespace(**vars(loaded) | {"training_sha256": None}), split)  # not ftool's
    assert not caplog.text


def test_a_baseline_on_the_split_that_tunes_its_thresholds_is_cross_fitted(tmp_path: Path) -> None:
    rng = random.Random(0)
    for name, count in (("train", 120), ("validation", 60), ("test", 60)):
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            rows = [
                (f"{name} {rng.choice('abcdefgh')} {row}", "|".join(rng.sample(LABELS, rng.randint(0, 2))))
                for row in range(count)
            ]
            csv.writer(file).writerows([("text", "label"), *rows])
    recipe = Recipe(
        task="text-classification",
        data=DataSettings(path=str(tmp_path), multi_label=True, label_separator="|"),
        train=TrainSettings(thresholds="tuned"),
    )
    data = load_dataset(recipe.row.reader, recipe.data)
    fit = recipe.row.baselines
    assert fit is not None

    def linear(split: Split[Any]) -> float:
        (found,) = [one.statistics() for one in fit(data, split, recipe) if one.name == "tfidf_linear"]
        return float(found.metrics(np.ones((1, len(split)), dtype=np.int64))["f1_macro"][0])

    # with one example more it is another split, which is judged with the thresholds as they are tuned
    more = replace(data.validation, examples=[*data.validation.examples, data.test.examples[0]])
    assert linear(data.validation) < linear(more) - 0.01
