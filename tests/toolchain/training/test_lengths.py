"""train.max_length: the requested length is in run/, metrics.json and the bundle, or training is refused."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.recipe.sections import TrainSettings
from ftool.train_model import train
from ftool_export.checkpoints.classifier import load_classifier
from ftool_export.checkpoints.reader import create_reader
from ftool_export.errors import CheckpointError


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.csv"
    path.write_text("text,label\n" + "".join(f"rain {n},weather\nsong {n},music\n" for n in range(30)))
    return path


def short(base: Path, folder: Path, limit: int) -> Path:
    """The base with a tokenizer that says a smaller limit than its positions."""
    shutil.copytree(base, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.model_max_length = limit
    tokenizer.save_pretrained(folder)
    return folder


def trained(base: Path, data: Path, folder: Path, **settings: Any) -> dict[str, Any]:
    made = TrainSettings(method="head", threads=1, **settings)
    train(Recipe(base=str(base), data=DataSettings(path=str(data)), train=made), folder)
    written: dict[str, Any] = json.loads((folder / "run" / "metrics.json").read_text())
    return written


def test_a_length_past_the_tokenizers_is_taken_if_positions_allow_it(
    tiny_base: Path, texts: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    base = short(tiny_base, tmp_path / "base", 16)
    with caplog.at_level(logging.WARNING):
        metrics = trained(base, texts, tmp_path / "model", max_length=32)
    assert metrics["recipe"]["train"]["max_length"] == 32
    assert load_classifier(tmp_path / "model" / "run").max_length == 32
    assert "its files limit inputs to 16 tokens; train.max_length sets 32" in caplog.text


def test_a_length_past_the_positions_is_refused(tiny_base: Path, texts: Path, tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"train.max_length is 100000, but .* has positions for \d+ tokens"
    ):
        trained(tiny_base, texts, tmp_path / "model", max_length=100_000)


def test_a_default_is_capped_and_written_down_as_it_is(tiny_base: Path, texts: Path, tmp_path: Path) -> None:
    base = short(tiny_base, tmp_path / "base", 16)
    metrics = trained(base, texts, tmp_path / "model")
    assert metrics["recipe"]["train"]["max_length"] == 16
    assert load_classifier(tmp_path / "model" / "run").max_length == 16


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"stride": 29}, "train.stride is 29, but the base reads 32 tokens at once"),
        ({"stride": 10, "max_answer_length": 12}, "train.max_answer_length is 12"),
    ],
)
def test_windows_that_the_base_can_not_have_are_refused(
    tiny_base: Path, tmp_path: Path, settings: dict[str, Any], problem: str
) -> None:
    base = short(tiny_base, tmp_path / "base", 40)
    assert create_reader(str(base), max_length=384, stride=20, max_answer_length=21).stride == 20
    with pytest.raises(CheckpointError, match=problem):
        create_reader(str(base), max_length=384, **settings)
