"""Flags of `ftool evaluate` that can't be combined are refused before data or a model is read."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.helpers import votes_row
from tests.helpers.cli import ftool

from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.tasks import registry


def refused(folder: Path, *options: object) -> str:
    """The one line of the error. The folder has only a recipe, so nothing else can have been read."""
    result = ftool("evaluate", str(folder), *map(str, options))
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    line: str = result.stderr
    assert line.count("\n") == 1, line
    return line


@pytest.fixture
def folder_of(tmp_path: Path) -> Callable[[str], Path]:
    def make(task: str) -> Path:
        Recipe(task=task, base="none", data=DataSettings(path="none.json")).write(tmp_path / "recipe.toml")
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--hateful", "x"), "--hateful is for bias suites; name one with --suite"),
        (("--option-label", "x"), "--option-label is for bias suites"),
        (("--always-answer",), "--always-answer is for bias suites"),
        (("--min-examples", "5"), "--min-examples applies to slices; name a column with --by"),
        (("--suite", "hatecheck", "--data", "none", "--always-answer"), "--always-answer is only for bbq"),
        (("--suite", "hatecheck", "--data", "none", "--option-label", "x"), "--option-label is only for bbq"),
        (("--suite", "bbq", "--data", "none", "--hateful", "x"), "--hateful is only for hatecheck"),
        (("--suite", "bbq", "--data", "none", "--split", "test"), "--suite bbq uses all its cases"),
        (("--suite", "hatecheck", "--data", "none", "--split", "train"), "--suite hatecheck uses all its cases"),
        (("--suite", "bbq", "--data", "none", "--always-answer"), "--always-answer is for readers; this model does"),
    ],
)  # fmt: skip
def test_flags_without_effect_are_refused(
    folder_of: Callable[[str], Path], options: tuple[str, ...], message: str
) -> None:
    assert message in refused(folder_of("text-classification"), *options)


def test_an_option_label_is_refused_for_a_reader(folder_of: Callable[[str], Path]) -> None:
    folder = folder_of("question-answering")
    line = refused(folder, "--suite", "bbq", "--data", "none", "--option-label", "x")
    assert "--option-label is for classifiers of pairs; this model does question-answering" in line


def test_predictions_are_refused_for_a_task_that_has_none(
    folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    registry.register(votes_row.TASK)
    try:
        line = refused(folder_of("vote-guessing"), "--predictions", tmp_path / "told.jsonl")
    finally:
        registry.unregister(votes_row.TASK)
    assert "--predictions is for text-classification, token-classification, question-answering, " in line
    assert "; the task of this model is vote-guessing" in line


@pytest.mark.parametrize("task", registry.task_names())
def test_every_task_of_ftool_writes_predictions(task: str) -> None:
    assert registry.find_task(task).predicts


def test_predictions_are_refused_for_a_suite(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    folder = folder_of("question-answering")
    line = refused(folder, "--suite", "bbq", "--data", "none", "--predictions", tmp_path / "told.jsonl")
    assert "--predictions can't be used with --suite bbq" in line


def test_predictions_need_an_existing_folder(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    line = refused(folder_of("question-answering"), "--predictions", tmp_path / "gone" / "told.jsonl")
    assert f"folder {tmp_path / 'gone'} does not exist" in line
