"""`ftool evaluate --mistakes`: confusions with their cost, the surest mistakes, and labels that are likely wrong."""

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.helpers.cli import ftool
from tests.helpers.files import write_jsonl

from ftool.data.rows.labels import LabelledText
from ftool.evaluation.metrics.classification import main_score
from ftool.evaluation.mistakes import NOTHING, Mistakes, find_label_errors, find_mistakes
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.recipe.sections import TrainSettings
from ftool.train_model import train
from ftool_runtime.errors import InputError

LABELS = ("card", "loan", "rent")


def mistakes(
    answers: list[int],
    truths: list[int],
    sureness: list[float] | None = None,
    texts: list[str] | None = None,
) -> Mistakes:
    """The mistakes of a model that gives these answers with these logits above the others."""
    logits = np.zeros((len(answers), 3), dtype=np.float32)
    logits[np.arange(len(answers)), answers] = sureness or 3.0
    targets = np.array(truths)
    texts = texts or [f"text {row}" for row in range(len(truths))]
    examples = [LabelledText(texts[row], (LABELS[truth],), row=row) for row, truth in enumerate(truths)]
    return find_mistakes(
        logits, targets, LABELS, examples, split="test", metric="accuracy",
        score=partial(main_score, targets=targets, multi_label=False), multi_label=False,
    )  # fmt: skip


def test_confusions_are_counted_in_what_they_cost() -> None:
    found = mistakes([0, 1, 1, 1, 2, 2, 2, 0, 1, 2], [0, 0, 0, 0, 2, 2, 2, 2, 1, 2])
    assert [(one.truth, one.answer, one.count) for one in found.confusions] == [
        ("card", "loan", 3),
        ("rent", "card", 1),
    ]
    assert [one.cost for one in found.confusions] == pytest.approx([0.3, 0.1])


def test_the_surest_mistakes_come_first() -> None:
    found = mistakes([1, 1, 2], [0, 0, 2], [2.0, 5.0, 9.0])
    assert [(one.row, one.labels, one.answer) for one in found.confident] == [
        (1, ("card",), ("loan",)),
        (0, ("card",), ("loan",)),
    ]
    assert found.confident[0].confidence == pytest.approx(np.exp(5) / (np.exp(5) + 2), abs=1e-4)
    assert "'text 1'" in found.text("accuracy")


def test_copies_of_a_text_share_a_line() -> None:
    found = mistakes([1, 1, 1, 1], [0, 0, 0, 2], texts=["my pin", "my card", "my pin", "my pin"])
    assert len(found.to_json()["confident"]) == 4
    lines = [line for line in found.text("accuracy").splitlines() if line.startswith("  test row")]
    assert sorted(lines) == [
        "  test row 0 and 1 copy: 'my pin'",
        "  test row 1: 'my card'",
        "  test row 3: 'my pin'",  # with another label
    ]


def test_a_model_without_mistakes_says_so() -> None:
    assert mistakes([0, 1], [0, 1]).text("accuracy") == "no mistakes"


def test_several_labels_are_missed_or_given_too_much() -> None:
    targets = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1]])
    logits = np.array([[4, -4, -4], [4, -4, -4], [4, -4, 4]], dtype=np.float32)
    examples = [LabelledText(f"text {row}", row=row) for row in range(3)]
    found = find_mistakes(
        logits, targets, LABELS, examples, split="test", metric="f1_macro",
        score=partial(main_score, targets=targets, multi_label=True), multi_label=True,
    )  # fmt: skip
    assert {(one.truth, one.answer, one.count) for one in found.confusions} == {
        ("loan", NOTHING, 1),
        (NOTHING, "card", 1),
    }
    missed = next(one for one in found.confusions if one.truth == "loan")
    assert missed.cost == pytest.approx(1 / 3)  # loan's F1 would be 1 in place of 0


@pytest.mark.parametrize("multi_label", [False, True])
def test_flipped_labels_are_found(multi_label: bool) -> None:
    rng = np.random.default_rng(0)
    truths = rng.integers(3, size=300)
    logits = rng.normal(size=(300, 3)).astype(np.float32)
    logits[np.arange(300), truths] += 6
    if multi_label:
        logits -= 3
    flipped = rng.permutation(300)[:9]
    stated = truths.copy()
    stated[flipped] = (truths[flipped] + 1) % 3
    examples = [
        ("train", LabelledText(f"text {row}", (LABELS[one],), row=row)) for row, one in enumerate(stated)
    ]
    targets: Any = (stated[:, None] == np.arange(3)).astype(float) if multi_label else stated
    found = find_label_errors(logits, targets, LABELS, examples, how="", multi_label=multi_label)
    rows = [one.row for one in found.found]
    assert set(rows[:8]) <= set(flipped)
    assert len(set(flipped) & set(rows)) >= 8
    assert all(one.labels != one.answer for one in found.found)
    assert found.agreement == pytest.approx(291 / 300, abs=0.01)


@pytest.fixture(scope="module")
def mislabelled(tiny_base: Path, topics: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained model, in whose training data the first four rows have the wrong label."""
    folder = tmp_path_factory.mktemp("mislabelled")
    (folder / "data").mkdir()
    for file in topics.iterdir():
        (folder / "data" / file.name).write_bytes(file.read_bytes())
    (train_file,) = (folder / "data").glob("train.*")
    lines = train_file.read_text().splitlines()
    swap = {"weather": "music", "music": "food", "food": "weather"}
    for number in range(1, 5):
        text, label = lines[number].rsplit(",", 1)
        lines[number] = f"{text},{swap[label]}"
    train_file.write_text("\n".join(lines) + "\n")
    recipe = Recipe(
        base=str(tiny_base),
        data=DataSettings(path=str(folder / "data")),
        train=TrainSettings(method="head", threads=1),
    )
    recipe.write(folder / "recipe.toml")
    train(recipe, folder)
    return folder


def test_the_command_lists_mistakes_and_likely_label_errors(mislabelled: Path) -> None:
    result = ftool("evaluate", str(mislabelled), "--mistakes")
    assert result.exit_code == 0, result.stderr
    assert "labels that are likely wrong: " in result.stdout
    assert re.search(r"each trained without the examples it judges; they agree with \d+%\)", result.stdout)
    told = json.loads(ftool("evaluate", str(mislabelled), "--mistakes", "--json").stdout)["mistakes"]
    assert told["metric"] == "accuracy"
    errors = told["label_errors"]
    assert errors["examples_checked"] == 192
    found = {(one["split"], one["row"]) for one in errors["shown"]}
    assert len(found & {("train", row) for row in range(2, 6)}) >= 1  # of 4; the encoder is random
    assert sum(one["count"] for one in told["confusions"]) == told["wrong_answers"] > 0


def test_other_data_has_mistakes_alone(mislabelled: Path, topics: Path) -> None:
    (test_file,) = topics.glob("test.*")
    told = ftool("evaluate", str(mislabelled), "--mistakes", "--json", "--data", str(test_file))
    assert json.loads(told.stdout)["mistakes"]["label_errors"] is None


def test_predictions_of_a_classifier_are_written(mislabelled: Path, tmp_path: Path) -> None:
    result = ftool("evaluate", str(mislabelled), "--predictions", str(tmp_path / "answers.jsonl"))
    assert result.exit_code == 0, result.stderr
    rows = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert len(rows) == 36
    assert rows[0].keys() == {"row", "input", "labels", "predicted", "probability"}


def test_mistakes_are_refused_for_numbers(tiny_base: Path, tmp_path: Path) -> None:
    rows = [{"text": f"rain and sun {number}", "score": number / 7} for number in range(60)]
    write_jsonl(tmp_path / "scores.jsonl", rows)
    recipe = Recipe(
        base=str(tiny_base),
        data=DataSettings(path=str(tmp_path / "scores.jsonl"), label="score"),
        train=TrainSettings(method="head", threads=1),
    )
    recipe.write(tmp_path / "recipe.toml")
    train(recipe, tmp_path)
    result = ftool("evaluate", str(tmp_path), "--mistakes")
    assert result.exit_code == 2
    assert "--mistakes needs a model that gives labels" in result.stderr
    assert "--predictions FILE writes each number beside the right one" in result.stderr
    from ftool.evaluation.evaluate import evaluate

    with pytest.raises(InputError, match="answers with numbers"):
        evaluate(tmp_path, mistakes=True)


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        (
            "summarization",
            (),
            "--mistakes is for text-classification and token-classification; the task of this model is summarization; "
            "--predictions FILE writes its answers one by one",
        ),
        ("text-classification", ("--suite", "bbq"), "--mistakes can't be used with --suite bbq"),
    ],
)
def test_mistakes_without_sense_are_refused(
    tmp_path: Path, task: str, options: tuple[str, ...], message: str
) -> None:
    Recipe(task=task, base="none", data=DataSettings(path="none.json")).write(tmp_path / "recipe.toml")
    result = ftool("evaluate", str(tmp_path), "--mistakes", *options)
    assert result.exit_code == 2
    assert message in result.stderr
