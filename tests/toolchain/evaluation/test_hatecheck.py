"""HateCheck on a tiny classifier: harmless cases in the benchmark's format, with results computed by hand."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from tests.helpers.cli import ftool
from tests.helpers.paths import SHARED_DATA
from tests.helpers.tiny_models import TinyModels

from ftool.data.sources.delimited import read_csv
from ftool.data.sources.files import data_file
from ftool.errors import DataError
from ftool.evaluation.bias import hatecheck
from ftool_export.checkpoints.classifier import compute_logits, load_classifier
from ftool_runtime.errors import InputError

HEADER = ["", "functionality", "case_id", "test_case", "label_gold", "target_ident", "case_templ"]
REAL = SHARED_DATA / "hatecheck" / "test_suite_cases.csv"


def write_cases(path: Path, rows: list[list[Any]], header: list[str] = HEADER) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Food in place of hate: 8 cases about food, 8 about the weather, in two groups; two without template."""
    texts = {"derog_h": ("soup bread", "hateful"), "ident_nh": ("rain storm", "non-hateful")}
    rows = [
        [0, name, 0, f"{text} {'the ' * n}", label, group, "[IDENTITY_P] is"]
        for name, (text, label) in texts.items()
        for group in ("north", "south")
        for n in range(4)
    ]
    rows += [[90 + n, "slur_h", 90 + n, "cheese apple", "hateful", "north", "no slot"] for n in range(2)]
    return write_cases(tmp_path_factory.mktemp("hatecheck") / "cases.csv", rows)


@pytest.fixture
def topic_model(trained: TinyModels, tmp_path: Path) -> Path:
    return shutil.copytree(trained["text-classification"], tmp_path / "model")


def run(folder: Path, cases: Path, *options: str) -> Result:
    command = ["evaluate", str(folder), "--suite", "hatecheck", "--data", str(cases), *options]
    return ftool(*command)


def test_a_classifier_is_evaluated_by_functionality_and_by_target(topic_model: Path, cases: Path) -> None:
    result = run(
        topic_model, cases, "--hateful", "food", "--hateful", "music", "--min-examples", "2", "--json"
    )
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert (content["task"], content["split"], content["examples"]) == (
        "text-classification",
        "hatecheck",
        18,
    )
    by_functionality, by_target = (content["slices"][name] for name in ("functionality", "target_ident"))
    assert {one["value"]: one["examples"] for one in by_functionality["slices"]} == {
        "derog_h": 8, "ident_nh": 8, "slur_h": 2
    }  # fmt: skip
    assert {one["value"]: one["examples"] for one in by_target["slices"]} == {"north": 8, "south": 8}

    loaded = load_classifier(topic_model / "run")
    texts, gold = hatecheck.read_cases(read_csv(data_file(cases)))
    answers = [loaded.labels[best] for best in compute_logits(loaded, texts).argmax(axis=1)]
    found = np.array([answer in ("food", "music") for answer in answers])
    assert content["metrics"]["accuracy"] == pytest.approx((found == gold).mean())
    assert content["metrics"]["accuracy_hateful"] == pytest.approx(found[gold].mean())
    assert content["metrics"]["accuracy_non_hateful"] == pytest.approx((~found[~gold]).mean())
    slur = next(one for one in by_functionality["slices"] if one["value"] == "slur_h")
    assert slur["metrics"]["accuracy"]["value"] == pytest.approx(found[-2:].mean())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "give them with --hateful; the model has food, music, weather"),
        (["--hateful", "rude"], "--hateful rude: the model has no such label; it has food, music, weather"),
        (["--hateful", "food", "--hateful", "music", "--hateful", "weather"], "names every label"),
        (
            ["--hateful", "food", "--by", "functionality"],
            "needs its cases in --data PATH, and takes no other data flags and no --by",
        ),
        (["--hateful", "food", "--text-column", "test_case"], "needs its cases in --data PATH"),
    ],
)
def test_models_and_flags_that_do_not_fit_are_refused(
    topic_model: Path, cases: Path, options: list[str], message: str
) -> None:
    result = run(topic_model, cases, *options)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_label_called_hateful_needs_no_flag() -> None:
    assert hatecheck.hateful_labels(["Hateful", "fine"], []) == ("Hateful",)
    with pytest.raises(InputError, match="the model has anger, joy"):
        hatecheck.hateful_labels(["anger", "joy"], [])


def test_files_in_another_format_are_refused_with_the_reason(tmp_path: Path) -> None:
    other = write_cases(tmp_path / "other.csv", [["soup", "food"]], ["text", "label"])
    with pytest.raises(DataError, match=r"no column 'test_case'; the columns are 'text', 'label'"):
        hatecheck.read_cases(read_csv(data_file(other)))
    odd = write_cases(tmp_path / "odd.csv", [[0, "slur_h", 0, "soup", "spiteful", "north", ""]])
    with pytest.raises(DataError, match="row 2 with a label_gold other than"):
        hatecheck.read_cases(read_csv(data_file(odd)))


def test_accuracies_get_wilsons_interval_for_their_own_number_of_cases(cases: Path) -> None:
    table = read_csv(data_file(cases))
    _, gold = hatecheck.read_cases(table)
    report = hatecheck.evaluate_cases(
        table, gold, np.zeros_like(gold), task="text-classification", on="run", labels=["hateful"]
    )
    north = next(one for one in report.slices[1].slices if one.value == "north").metrics
    # 0 of 4 right: 0 to z²/(n + z²) with z = 1.96; 4 of 4 right: its mirror image.
    limit = 1.959964**2 / (4 + 1.959964**2)
    hateful, other = north["accuracy_hateful"], north["accuracy_non_hateful"]
    assert (hateful.value, hateful.low, hateful.high) == pytest.approx((0, 0, limit), abs=1e-6)
    assert (other.value, other.low, other.high) == pytest.approx((1, 1 - limit, 1), abs=1e-6)


@pytest.mark.skipif(not REAL.exists(), reason="needs shared/data/hatecheck beside the checkout")
def test_the_published_cases_have_the_counts_of_the_paper() -> None:
    table = read_csv(data_file(REAL))
    _, gold = hatecheck.read_cases(table)
    assert (len(gold), int(gold.sum())) == (3728, 2563)  # Röttger et al. 2021, section 3.3
    report = hatecheck.evaluate_cases(
        table, gold, gold, task="text-classification", on="run", labels=["hateful"]
    )
    functionalities, targets = report.slices
    assert len(functionalities.slices) == 29
    assert {one.examples for one in targets.slices} == {421}  # table 4 of the paper, seven groups
    assert all(one.metrics["accuracy"].value == 1 for one in functionalities.slices)
    constant = hatecheck.evaluate_cases(
        table, gold, np.ones_like(gold), task="text-classification", on="run", labels=["hateful"]
    )
    assert constant.metrics["accuracy"] == pytest.approx(2563 / 3728)
    assert constant.slices[1].gaps["accuracy"].gap.value == 0
