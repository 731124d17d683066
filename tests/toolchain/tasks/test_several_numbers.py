"""Regression to several numbers by name: from data to bundle, and from other people's checkpoints."""

import csv
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.helpers.cli import ftool, succeeds, told
from transformers import AutoModelForSequenceClassification, BertConfig, pipeline

import ftool_runtime as ft
from ftool_export.checkpoints.classifier import compute_logits, load_classifier

NAMES = ("rain", "song", "soup")
KINDS = {
    "rain": ["rain", "sun", "wind"],
    "song": ["song", "band", "drum"],
    "soup": ["soup", "cheese", "apple"],
}
TEXTS = ["rain sun wind", "song of the band", "the soup cheese apple"]


@pytest.fixture(scope="session")
def essays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts, and for each of three kinds how many of their words are of this kind, on three scales."""
    path, rng = tmp_path_factory.mktemp("essays") / "essays.csv", random.Random(7)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", *NAMES])
        seen: set[str] = set()
        while len(seen) < 300:
            counts = [rng.randint(0, 2) for _ in NAMES]
            words = [rng.choice(KINDS[name]) for name, n in zip(NAMES, counts, strict=True) for _ in range(n)]
            rng.shuffle(words)
            text = " ".join(["the", *words])
            if text not in seen:
                seen.add(text)
                writer.writerow([text, counts[0] / 2, counts[1] * 50.5, counts[2] + 0.5])
    return path


@pytest.fixture(scope="session")
def grading(tiny_base: Path, essays: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of three numbers, all weights trained, exported in int8."""
    folder = tmp_path_factory.mktemp("models") / "grading"
    settings = {"train.epochs": 6, "train.learning_rate": "3e-3", "train.batch_size": 8, "train.threads": 1}
    changes = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    new = told("new", folder, "--base", tiny_base, "--data", essays, *changes)
    assert new["data"] == {
        "train": 240, "validation": 30, "test": 30, "numbers": list(NAMES), "regression": True, "pairs": False
    }  # fmt: skip
    told("train", folder)
    exported = told("export", folder, "--max-drop", "0.1")
    assert (exported["precision"], exported["gate"]["passed"]) == ("int8", True)
    return folder


def test_numbers_on_different_scales_are_all_learnt(grading: Path) -> None:
    report = json.loads((grading / "run" / "metrics.json").read_text())
    metrics = report["metrics"]
    assert set(metrics) == {
        *(
            f"{metric}{of}"
            for metric in ("spearman", "pearson", "mse")
            for of in ("", *(f":{n}" for n in NAMES))
        )
    }
    assert all(metrics[f"spearman:{name}"] > 0.6 for name in NAMES)
    assert metrics["spearman"] == pytest.approx(np.mean([metrics[f"spearman:{name}"] for name in NAMES]))
    assert report["intervals"].keys() == metrics.keys()
    assert set(report["baselines"]["models"]) == {"majority", "tfidf_linear"}


def test_the_bundle_answers_by_name_as_the_run_does(grading: Path) -> None:
    bundle, run = told("evaluate", grading, "--on", "bundle"), told("evaluate", grading)
    assert bundle["metrics"]["spearman"] == pytest.approx(run["metrics"]["spearman"], abs=0.1)
    text = succeeds("evaluate", grading).stdout
    assert "soup, Spearman" in text
    parity = told("parity", grading)
    assert (parity["passed"], parity["batch_effect"]) == (True, 0)
    assert ft.verify(grading / "bundle").passed
    expected = compute_logits(load_classifier(grading / "run"), TEXTS)
    with ft.load(grading / "bundle", threads=1) as model:
        assert isinstance(model, ft.MultiRegressor)
        answers = model(TEXTS)
        assert [max(NAMES, key=lambda name: one.values[name] / scale(name)) for one in answers] == list(NAMES)
        assert [model(text).values for text in TEXTS] == [one.values for one in answers]
        np.testing.assert_allclose([list(one.values.values()) for one in answers], expected, atol=4)
    for command in (("predict", grading, TEXTS[0]), ("predict", grading / "bundle", TEXTS[0])):
        printed = json.loads(succeeds(*command).stdout)
        assert printed == {"text": TEXTS[0], "scores": dict(answers[0].values), "truncated": False}
    card = (grading / "bundle" / "README.md").read_text()
    assert "Gives a text 3 numbers." in card
    assert "`rain`, `song`, `soup`" in card


def scale(name: str) -> float:
    return {"rain": 1.0, "song": 101.0, "soup": 2.5}[name]


def test_predictions_hold_the_numbers_by_name(grading: Path, tmp_path: Path) -> None:
    succeeds("evaluate", grading, "--predictions", tmp_path / "p.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert len(rows) == 30
    assert all(set(row["scores"]) == set(row["predicted"]) == set(NAMES) for row in rows)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("adapt", "--text", "rain", "--label", "rain"), "only be taught to models that label single texts"),
        (("predict", "rain", "--top-k", "2"), "this model gives numbers"),
        (("evaluate", "--mistakes"), "needs a model that gives labels"),
    ],
)
def test_what_needs_labels_is_refused(grading: Path, arguments: tuple[str, ...], message: str) -> None:
    result = ftool(arguments[0], grading, *arguments[1:])
    assert (result.exit_code, message in result.stderr) == (2, True), result.output


def test_a_run_of_several_numbers_loads_without_ftool(tiny_base: Path, essays: Path, tmp_path: Path) -> None:
    settings = ("--set", "train.pooling=pooler", "--set", "train.epochs=1", "--set", "train.threads=1")
    told("train", tmp_path / "own", "--base", tiny_base, "--data", essays, *settings)
    network = AutoModelForSequenceClassification.from_pretrained(tmp_path / "own" / "run")
    assert (network.config.problem_type, network.config.id2label) == ("regression", dict(enumerate(NAMES)))
    pipe = pipeline(
        "text-classification", model=str(tmp_path / "own" / "run"), top_k=None, function_to_apply="none"
    )
    answer = {one["label"]: one["score"] for one in pipe(TEXTS[:1])[0]}
    ours = compute_logits(load_classifier(tmp_path / "own" / "run"), TEXTS[:1])[0]
    assert [answer[name] for name in NAMES] == pytest.approx(ours.tolist(), abs=1e-4)
    succeeds("export", tmp_path / "own", "--precision", "fp32")
    assert told("parity", tmp_path / "own")["passed"]


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("named", [True, False])
def test_another_persons_checkpoint_of_several_numbers_is_exported(
    named: bool, precision: str, tiny_base: Path, essays: Path, tmp_path: Path
) -> None:
    names = NAMES if named else ("0", "1", "2")
    kind: dict[str, Any] = {"id2label": dict(enumerate(NAMES))} if named else {"num_labels": 3}
    config = BertConfig.from_pretrained(tiny_base, problem_type="regression", **kind)
    torch.manual_seed(0)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path / "model")
    folder, bundle = tmp_path / "model", tmp_path / "bundle"
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_text((tiny_base / name).read_text())
    written = ("export", "--checkpoint", folder, "-o", bundle, "--precision", precision)
    told(*written, "--task", "text-classification", "--data", essays, "--max-drop", "0.2")
    assert ft.Manifest.read(bundle).labels == names
    with ft.MultiRegressor.load(bundle, threads=1) as model:
        assert list(model(TEXTS[0]).values) == list(names)
    assert told("parity", bundle, "--checkpoint", folder)["passed"]
