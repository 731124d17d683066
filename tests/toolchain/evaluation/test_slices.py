"""Metrics by slice: compared with scikit-learn on the slice alone, known intervals, and random and planted gaps."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import f1_score
from tests.helpers.cli import ftool

from ftool.data.dataset import Split
from ftool.data.rows.similarity import SimilarityKind, SimilarPair
from ftool.data.table import Row, Table
from ftool.errors import DataError
from ftool.evaluation.confidence_intervals import ConfidenceSettings, estimates, metrics_of, wilson
from ftool.evaluation.metrics.classification import (
    classification_metrics,
    classification_statistics,
    number_metrics,
    number_statistics,
)
from ftool.evaluation.metrics.embeddings import embedding_metrics, embedding_statistics
from ftool.evaluation.slices import EMPTY, SliceSettings, slice_report, slices_text, value_name
from ftool.evaluation.statistics import Floats, RecomputedStatistics, SummedStatistics, averaged
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.recipe.sections import TrainSettings
from ftool.train_model import train
from ftool_runtime.errors import InputError

QUICK = SliceSettings(confidence=ConfidenceSettings(resamples=300))


def table_of(cells: list[Any]) -> Table:
    return Table("test.csv", ("text", "dialect"), [Row(i + 2, ("a", cell)) for i, cell in enumerate(cells)])


def guesses(
    examples: int, labels: int, *, multi_label: bool = False
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(examples, labels)).astype(np.float32)
    if multi_label:
        return logits, (rng.random((examples, labels)) < 0.3).astype(np.int64)
    return logits, rng.integers(0, labels, examples)


# --- the metrics of a slice


@pytest.mark.parametrize("multi_label", [False, True])
def test_the_whole_as_one_slice_has_the_metrics_of_the_task(multi_label: bool) -> None:
    logits, targets = guesses(300, 4, multi_label=multi_label)
    thresholds = (0.4, 0.5, 0.6, 0.7) if multi_label else None
    expected = classification_metrics(
        logits, targets, list("abcd"), multi_label=multi_label, thresholds=thresholds
    )
    statistics = classification_statistics(logits, targets, multi_label=multi_label, thresholds=thresholds)
    found = metrics_of(statistics, np.arange(300))
    assert statistics.main in found
    assert found == pytest.approx({name: expected[name] for name in found})
    assert {name for name, value in expected.items() if isinstance(value, float)} == set(found)


def test_the_f1_of_a_slice_is_over_the_labels_that_occur_in_it() -> None:
    logits, targets = guesses(300, 4)
    slice_ = np.flatnonzero((targets < 2) & (logits.argmax(axis=1) < 2))
    found = metrics_of(classification_statistics(logits, targets, multi_label=False), slice_)
    answers = logits.argmax(axis=1)
    assert found["f1_macro"] == pytest.approx(f1_score(targets[slice_], answers[slice_], average="macro"))
    assert found["f1_weighted"] == pytest.approx(
        f1_score(targets[slice_], answers[slice_], average="weighted")
    )


def test_metrics_that_need_the_examples_themselves_agree_with_sums() -> None:
    values = np.random.default_rng(1).random(40)
    summed = averaged({"mean": values}, main="mean")
    repeated = RecomputedStatistics(
        40, lambda positions: {"mean": float(values[positions].mean())}, main="mean"
    )
    half = np.arange(20)
    assert metrics_of(summed, half) == pytest.approx(metrics_of(repeated, half))
    one, other = (
        estimates(statistics, half, ConfidenceSettings(resamples=200))["mean"]
        for statistics in (summed, repeated)
    )
    assert (one.low, one.high) == pytest.approx((other.low, other.high))


# --- intervals


def test_shares_have_wilsons_interval() -> None:
    # Newcombe 1998, table I, method 3: 81 of 263 and 1 of 29
    assert wilson(81, 263, ConfidenceSettings()) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(1, 29, ConfidenceSettings()) == pytest.approx((0.0061, 0.1718), abs=1e-4)


def test_the_bootstrap_of_a_mean_is_as_wide_as_the_normal_interval() -> None:
    values = np.random.default_rng(2).normal(size=400)
    found = estimates(
        averaged({"mean": values}, main="mean"), np.arange(400), ConfidenceSettings(resamples=4000)
    )["mean"]
    half_width = 1.96 * values.std() / 20
    assert found.low == pytest.approx(values.mean() - half_width, abs=0.01)
    assert found.high == pytest.approx(values.mean() + half_width, abs=0.01)


def test_samples_without_a_value_leave_the_interval_to_the_others() -> None:
    statistics = SummedStatistics({"hit": [1, 0, 0, 0]}, _inverse, main="inverse")
    found = estimates(statistics, np.arange(4), ConfidenceSettings(resamples=200))["inverse"]
    assert np.isfinite([found.low, found.high]).all()  # a third of the samples has no hit at all


def test_a_single_example_has_a_value_and_no_bootstrap() -> None:
    statistics = averaged({"mean": [0.5, 1.0], "right": [1, 0]}, main="mean", shares=("right",))
    report = slice_report(statistics, table_of(["a", "b"]), "dialect", SliceSettings(min_examples=1))
    found = {one.value: one.metrics for one in report.slices}
    assert found["a"]["mean"].to_json() == {"value": 0.5, "low": None, "high": None}
    assert found["a"]["right"].low == pytest.approx(0.2065, abs=1e-4)  # Wilson: 1 / (1 + 1.96²)
    assert report.gaps["mean"].to_json()["low"] is None
    json.dumps(report.to_json(), allow_nan=False)
    assert "0.500 (too few examples)" in slices_text(report, {"mean": "mean"})


def _inverse(totals: Mapping[str, Floats]) -> Mapping[str, Floats]:
    return {"inverse": totals["hit"][:, 0] / totals["hit"][:, 0] ** 2}


# --- gaps


def test_a_gap_by_design_is_more_than_chance_and_names_its_slices() -> None:
    right = np.array([1] * 90 + [0] * 10 + [1] * 60 + [0] * 40 + [1] * 88 + [0] * 12)
    dialects = ["coast"] * 100 + ["inland"] * 100 + ["islands"] * 100
    report = slice_report(
        averaged({"accuracy": right}, main="accuracy", shares=("accuracy",)),
        table_of(dialects),
        "dialect",
        QUICK,
    )
    assert [one.value for one in report.slices] == ["coast", "islands", "inland"]
    gap = report.gaps["accuracy"]
    assert (gap.highest, gap.lowest, gap.gap.value) == ("coast", "inland", pytest.approx(0.3))
    assert gap.beyond_chance
    assert 0.15 < gap.gap.low < 0.3 < gap.gap.high < 0.45


def test_the_widest_of_many_gaps_by_chance_is_seldom_called_more() -> None:
    rng = np.random.default_rng(3)
    called = 0
    for _ in range(40):
        statistics = averaged({"accuracy": rng.random(400) < 0.8}, main="accuracy", shares=("accuracy",))
        table = table_of([str(value) for value in rng.integers(0, 8, 400)])
        called += slice_report(statistics, table, "dialect", QUICK).gaps["accuracy"].beyond_chance
    assert called <= 6  # 2 expected; a test of the two furthest slices alone calls more than half


def test_slices_of_few_examples_are_named_but_neither_ranked_nor_compared() -> None:
    right = np.array([1] * 40 + [0] * 5 + [1, 0] * 20)
    table = table_of(["a"] * 40 + ["rare"] * 5 + ["b"] * 40)
    statistics = averaged({"accuracy": right}, main="accuracy", shares=("accuracy",))
    report = slice_report(statistics, table, "dialect", QUICK)
    assert [(one.value, one.ranked) for one in report.slices] == [
        ("a", True), ("b", True), ("rare", False)
    ]  # fmt: skip
    assert report.gaps["accuracy"].lowest == "b"
    assert report.to_json()["rare"] == ["rare"]
    few = slice_report(
        statistics, table, "dialect", SliceSettings(min_examples=41, confidence=QUICK.confidence)
    )
    assert few.gaps == {}


def test_a_missing_column_lists_those_that_there_are() -> None:
    statistics = averaged({"accuracy": [1, 0]}, main="accuracy")
    with pytest.raises(
        DataError, match=r"test.csv: has no column 'region'; the columns are 'text', 'dialect'"
    ):
        slice_report(statistics, table_of(["a", "b"]), "region", QUICK)


def test_examples_whose_rows_are_not_known_have_no_slices() -> None:
    statistics = averaged({"accuracy": [1, 0]}, main="accuracy")
    with pytest.raises(InputError, match=r"parts\.jsonl: the rows of the examples are not known"):
        slice_report(statistics, Table("parts.jsonl"), "region", QUICK)


def test_a_column_of_as_many_values_as_examples_is_refused() -> None:
    statistics = averaged({"accuracy": np.ones(300)}, main="accuracy")
    with pytest.raises(InputError, match="300 values in 300 examples"):
        slice_report(statistics, table_of([str(n) for n in range(300)]), "dialect", QUICK)


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ("  ", EMPTY),
        (None, EMPTY),
        (3.0, "3"),
        (2.5, "2.5"),
        (["x", "y"], "x, y"),
        (True, "True"),
        ([], EMPTY),
    ],
)
def test_values_are_called_as_they_are_written(cell: Any, name: str) -> None:
    assert value_name(cell) == name


# --- the command


@pytest.fixture(scope="module")
def sliced_model(tiny_base: Path, topics: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier whose data has a column of regions, one of them rare; no test file, so one is cut off."""
    folder = tmp_path_factory.mktemp("sliced")
    lines = (topics / "train.csv").read_text().splitlines()
    rows = [f"{line},{'north' if n % 2 else 'south'}" for n, line in enumerate(lines[1:])]
    rows[:2] = [row.rpartition(",")[0] + ",east" for row in rows[:2]]
    (folder / "data.csv").write_text("\n".join([lines[0] + ",region", *rows]) + "\n")
    recipe = Recipe(
        base=str(tiny_base),
        data=DataSettings(path=str(folder / "data.csv"), test_fraction=0.3),
        train=TrainSettings(method="head", threads=1),
    )
    recipe.write(folder / "recipe.toml")
    train(recipe, folder)
    return folder


def test_evaluate_by_a_column_reports_slices_of_the_split_that_was_cut_off(sliced_model: Path) -> None:
    command = ["evaluate", str(sliced_model), "--by", "region", "--min-examples", "5"]
    result = ftool(*command, "--json")
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    found = content["slices"]["region"]
    assert sum(one["examples"] for one in found["slices"]) == content["examples"]
    by_hand = sum(one["metrics"]["accuracy"]["value"] * one["examples"] for one in found["slices"])
    assert by_hand / content["examples"] == pytest.approx(content["metrics"]["accuracy"])
    assert {"north", "south"} <= {one["value"] for one in found["slices"]}
    assert set(found["widest_gaps"]["accuracy"]) >= {"highest", "lowest", "gap", "low", "high", "p_value"}
    shown = ftool(*command).stdout
    assert "by region" in shown
    assert "widest gap, accuracy" in shown


def test_evaluate_by_a_column_that_is_not_there_lists_the_columns(sliced_model: Path) -> None:
    result = ftool("evaluate", str(sliced_model), "--by", "dialect")
    assert result.exit_code == 2
    assert "has no column 'dialect'; the columns are 'text', 'label', 'region'" in result.stderr


# --- answers that are numbers, and vectors


def test_numbers_are_judged_by_slice_as_by_themselves() -> None:
    rng = np.random.default_rng(4)
    targets = rng.random((60, 1))
    logits = (targets + rng.normal(scale=0.3, size=(60, 1))).astype(np.float32)
    statistics = number_statistics(logits, targets)
    half = np.arange(0, 60, 2)
    assert metrics_of(statistics, half) == pytest.approx(number_metrics(logits[half], targets[half]))
    report = slice_report(
        statistics,
        table_of(["a", "b"] * 30),
        "dialect",
        SliceSettings(confidence=ConfidenceSettings(resamples=50)),
    )
    assert report.main == "spearman"
    assert {"spearman", "pearson", "mse"} <= report.gaps.keys()


@pytest.mark.parametrize("kind", ["pairs", "triplets", "scored"])
def test_vectors_are_judged_by_slice_of_the_examples(kind: SimilarityKind) -> None:
    rng = np.random.default_rng(5)
    texts = [f"text {n}" for n in range(40)]
    examples = [
        SimilarPair(
            f"query {n}",
            texts[n],
            texts[n - 1] if kind == "triplets" else None,
            float(rng.random()) if kind == "scored" else None,
        )
        for n in range(40)
    ]
    split = Split(examples, "test.csv")
    passages = rng.normal(size=(40, 4)).astype(np.float32)
    vectors = [passages + rng.normal(scale=0.5, size=(40, 4)).astype(np.float32), passages]
    statistics = embedding_statistics(split, vectors, "cosine")
    expected = embedding_metrics(split, vectors, "cosine")
    found = metrics_of(statistics, np.arange(40))
    assert found == pytest.approx({name: expected[name] for name in found})
    assert statistics.main in found
    hits = metrics_of(statistics, np.array([3, 4]))
    assert all(-1 <= value <= 1 for value in hits.values())
