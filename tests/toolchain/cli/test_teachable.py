"""`ftool export --teachable`: from a recipe and from a checkpoint with data."""

import shutil
from pathlib import Path

from tests.helpers.cli import ftool, succeeds, told
from tests.helpers.tiny_models import TinyModels

import ftool_runtime as ft
from ftool.recipe.recipe import Recipe


def test_a_trained_model_is_exported_and_taught(exported: TinyModels, tmp_path: Path) -> None:
    folder = shutil.copytree(exported["text-classification"], tmp_path / "model")
    out = succeeds("export", folder, "--teachable", "--max-drop", "0.5").stdout
    assert "training texts, in replay.bin, from which much of a text can be guessed" in out
    card = (folder / "bundle" / "README.md").read_text(encoding="utf-8")
    assert "in replay.bin" in card
    with ft.TextClassifier.load(folder / "bundle", threads=1) as model:
        model.teach("the moon rose over the quiet harbour", "poetry", max_loss_rise=9)
        assert model("the moon rose over the quiet harbour").label == "poetry"
    assert told("parity", folder)["passed"]


def test_a_checkpoint_with_data_is_exported_and_taught(exported: TinyModels, tmp_path: Path) -> None:
    folder = exported["text-classification"]
    data = Recipe.read(folder / "recipe.toml").data.path
    common = ("export", "--checkpoint", folder / "run", "--output", tmp_path / "bundle", "--teachable")
    assert "name the training data with --data" in ftool(*common).output
    told(*common, "--data", data, "--max-drop", "0.5")
    with ft.TextClassifier.load(tmp_path / "bundle", threads=1) as model:
        assert model.teachable


def test_other_tasks_and_the_ladder_say_that_they_can_not(exported: TinyModels, tmp_path: Path) -> None:
    folder = shutil.copytree(exported["question-answering"], tmp_path / "reader")
    result = ftool("export", folder, "--teachable")
    assert result.exit_code == 2
    assert "teachable" in result.output
    folder = shutil.copytree(exported["text-classification"], tmp_path / "model")
    result = ftool("export", folder, "--teachable", "--precision", "auto")
    assert result.exit_code == 2
    assert "export.teachable needs one precision" in result.output
