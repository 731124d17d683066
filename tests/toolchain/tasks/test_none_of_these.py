"""Texts that none of the labels fits: set aside, the threshold fitted on them, and the bundle that answers none."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from tests.helpers.cli import ftool
from tests.helpers.files import write_jsonl

import ftool_runtime as ft
from ftool.data.load import load_dataset
from ftool.data.rows.labels import LabelReader
from ftool.errors import DataError
from ftool.evaluation.metrics.none_of_these import Confidence, fit_none_below, none_intervals, none_metrics
from ftool.recipe.data_settings import DataSettings
from ftool_export.checkpoints.classifier import load_classifier
from ftool_runtime.bundle.manifest import Manifest

WORDS = {
    "weather": ["rain", "sun", "wind"],
    "music": ["song", "band", "guitar"],
    "oos": ["bread", "soup", "cheese"],
}


def rows(
    count: int, labels: tuple[str, ...] = ("weather", "music", "oos"), start: int = 0
) -> list[dict[str, Any]]:
    found = []
    for number in range(start, start + count):
        label = labels[number % len(labels)]
        words = WORDS[label]
        text = f"{words[number % 3]} {words[number // 3 % 3]} about number{number}"
        found.append({"text": text, "label": label})
    return found


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nothing of the training data is outside the labels; a third of validation and test is."""
    folder = tmp_path_factory.mktemp("outside")
    write_jsonl(folder / "train.jsonl", rows(80, ("weather", "music")))
    write_jsonl(folder / "validation.jsonl", rows(60, start=100))
    write_jsonl(folder / "test.jsonl", rows(60, start=200))
    return folder


@pytest.fixture(scope="module", params=["head", "setfit"])
def trained(
    tiny_base: Path, data: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("none-model")
    settings = [f"train.method={request.param}", "train.threads=1", "data.none_label=oos"]
    result = ftool(
        "train", folder, "--base", tiny_base, "--data", data, "--json",
        *(part for one in settings for part in ("--set", one)),
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    return folder, json.loads(result.stdout)


def test_texts_that_no_label_fits_are_set_aside(data: Path) -> None:
    read = load_dataset(LabelReader, DataSettings(path=str(data), none_label="oos"))
    assert read.labels == ("music", "weather")
    assert {name: (len(split), len(split.outside)) for name, split in read.splits.items()} == {
        "train": (80, 0),
        "validation": (40, 20),
        "test": (40, 20),
    }
    assert all("oos" not in one.labels for split in read.splits.values() for one in split.examples)
    assert any("none of the labels ('oos'): 20 validation, 20 test" in note for note in read.notes)


def test_a_split_that_is_cut_off_has_its_share_of_them(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "all.jsonl", rows(300))
    read = load_dataset(LabelReader, DataSettings(path=str(path), none_label="oos"))
    assert {name: len(split.outside) for name, split in read.splits.items()} == {
        "train": 80,
        "validation": 10,
        "test": 10,
    }


@pytest.mark.parametrize(
    ("row", "settings", "message"),
    [
        (
            lambda i: {"text": f"a {i}", "label": "xy"[i % 2]},
            {"none_label": "oos"},
            "no example has the label 'oos'",
        ),
        (
            lambda i: {"text": f"a {i}", "label": ("x", "y", "ooz")[i % 3]},
            {"none_label": "oos"},
            "did you mean 'ooz'?",
        ),
        (
            lambda i: {"text": f"a {i}", "labels": ["x", "y"] if i % 2 else ["x"]},
            {"none_label": "x"},
            "a text can have several labels here",
        ),
        (
            lambda i: {"text": f"a {i}", "score": i / 7},
            {"none_label": "x", "label": "score"},
            "this data has numbers",
        ),
    ],
)
def test_a_none_label_that_fits_nothing_is_refused(
    tmp_path: Path, row: Any, settings: dict[str, Any], message: str
) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", [row(number) for number in range(60)])
    with pytest.raises(DataError) as refused:
        load_dataset(LabelReader, DataSettings(path=str(path), **settings))
    assert message in str(refused.value)


def test_training_fits_the_threshold_and_reports_it(trained: tuple[Path, Any]) -> None:
    folder, told = trained
    metrics = told["metrics"]
    assert metrics["none_examples"] == 20
    assert 0 < metrics["none_below"] < 1
    assert {"none_auroc", "accuracy_with_none", "accuracy_in_scope", "none_recall"} <= metrics.keys()
    assert told["intervals"]["none_auroc"]["low"] <= metrics["none_auroc"]
    assert load_classifier(folder / "run").none_below == metrics["none_below"]
    shown = ftool("evaluate", folder).stdout
    assert "none of these, AUROC" in shown
    assert "accuracy with none of these" in shown
    (line,) = [one for one in shown.splitlines() if one.startswith("none of these, below the probability")]
    assert float(line.split()[-1]) == pytest.approx(metrics["none_below"], abs=1e-3)


def test_the_bundle_answers_none_as_it_was_measured(trained: tuple[Path, Any], data: Path) -> None:
    folder, told = trained
    assert ftool("export", folder, "--precision", "fp32").exit_code == 0
    assert Manifest.read(folder / "bundle").none_below == told["metrics"]["none_below"]
    assert ftool("parity", folder).exit_code == 0
    on_bundle = json.loads(ftool("evaluate", folder, "--on", "bundle", "--json").stdout)["metrics"]
    asked = [json.loads(line) for line in (data / "test.jsonl").read_text().splitlines()]
    with ft.load(folder / "bundle") as model:
        answers = model([one["text"] for one in asked], none_below="fitted")
    wanted = [None if one["label"] == "oos" else one["label"] for one in asked]
    right = [answer.label == label for answer, label in zip(answers, wanted, strict=True)]
    assert np.mean(right) == pytest.approx(on_bundle["accuracy_with_none"])
    assert on_bundle["accuracy_with_none"] == pytest.approx(told["metrics"]["accuracy_with_none"], abs=0.02)


def test_metrics_are_those_of_a_count() -> None:
    rng = np.random.default_rng(0)
    found = Confidence(rng.uniform(0.3, 1, 50), rng.random(50) < 0.9, rng.uniform(0, 0.7, 30))
    metrics = none_metrics(found, 0.5)
    expected = roc_auc_score([1] * 50 + [0] * 30, np.concatenate([found.inside, found.outside]))
    assert metrics["none_auroc"] == pytest.approx(expected)
    kept = found.right & (found.inside >= 0.5)
    assert metrics["accuracy_in_scope"] == pytest.approx(kept.mean())
    assert metrics["none_recall"] == pytest.approx((found.outside < 0.5).mean())
    assert metrics["accuracy_with_none"] == pytest.approx((kept.sum() + (found.outside < 0.5).sum()) / 80)
    assert none_intervals(found, 0.5).keys() == metrics.keys() - {"none_examples", "none_below"}
    assert none_metrics(found, None).keys() == {"none_auroc", "none_examples"}


def test_the_threshold_parts_what_can_be_parted() -> None:
    right = np.array([True, True])
    assert fit_none_below(Confidence(np.array([0.8, 0.9]), right, np.array([0.2, 0.4]))) == pytest.approx(0.6)
    assert fit_none_below(Confidence(np.array([0.1, 0.2]), right, np.array([0.8, 0.9]))) == 0.0
