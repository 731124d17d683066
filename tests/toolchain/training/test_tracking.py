"""Losses and scores go to experiment trackers if the recipe says so."""

import importlib.util
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from tensorboardX.proto import event_pb2
from tests.helpers.cli import ftool, told

from ftool.errors import RecipeError
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.recipe.sections import TrainSettings
from ftool.training.tracking import check_trackers, tracking_arguments
from ftool_runtime.errors import RuntimeMissingError

BASE = Recipe(data=DataSettings(path="builtin:intents"))


def scalars(file: Path) -> Iterator[tuple[str, int, float]]:
    """The scalars in an event file of TensorBoard, with their steps: records with lengths and checksums around them."""
    content, at = file.read_bytes(), 0
    while at < len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        event = event_pb2.Event.FromString(content[at + 12 : at + 12 + length])
        yield from ((one.tag, event.step, one.simple_value) for one in event.summary.value)
        at += length + 16


def test_tensorboard_gets_losses_and_scores_of_every_run(
    tiny_base: Path, few_topics: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "model"
    told(
        "train", model, "--base", tiny_base, "--data", few_topics, "--set", "train.epochs=1",
        "--set", "train.threads=1", "--set", "train.report_to=tensorboard",
    )  # fmt: skip
    (file,) = model.glob("logs/*/events.out.tfevents.*")
    found = list(scalars(file))
    report = told("evaluate", model)
    assert report["split"] == "test"
    curve = [step for tag, step, _ in found if tag == "train/loss"]
    assert curve == sorted(set(curve))
    assert curve
    scores = {step: value for tag, step, value in found if tag == "eval/score"}
    assert 0 in scores  # before the first update
    assert max(scores) == curve[-1] or max(scores) > curve[-1]
    assert {path.name for path in tmp_path.iterdir()} == {"model"}  # nothing beside the model folder


def test_nothing_is_tracked_unless_asked_for() -> None:
    assert tracking_arguments(BASE.train.trackers, Path("models/m/run.partial"))["report_to"] == "none"


@pytest.mark.parametrize(
    ("value", "trackers"),
    [("wandb", ("wandb",)), ('["mlflow", "tensorboard", "mlflow"]', ("mlflow", "tensorboard")), ("none", ())],
)
def test_one_tracker_or_several_are_named(value: str, trackers: tuple[str, ...], tmp_path: Path) -> None:
    recipe = BASE.with_overrides([f"train.report_to={value}"])
    assert recipe.train.trackers == trackers
    recipe.write(tmp_path / "recipe.toml")
    assert Recipe.read(tmp_path / "recipe.toml").train.trackers == trackers


def test_an_unknown_tracker_is_refused_with_the_known_ones() -> None:
    with pytest.raises(RecipeError, match='must be one of "none", "tensorboard", "mlflow", "wandb"'):
        BASE.with_overrides(["train.report_to=comet"])
    with pytest.raises(RecipeError, match='did you mean "tensorboard"'):
        BASE.with_overrides(["train.report_to=tensorbord"])


def test_a_head_alone_has_no_updates_to_report() -> None:
    with pytest.raises(RecipeError, match=r"train\.report_to is for fine-tuning"):
        TrainSettings(method="head", report_to="tensorboard")


def test_a_missing_package_is_named_before_anything_is_trained(
    tiny_base: Path, few_topics: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "mlflow" else real(name, *rest)
    )
    with pytest.raises(RuntimeMissingError, match=r"needs the package mlflow, .*: pip install mlflow"):
        check_trackers(["tensorboard", "mlflow"])
    call = ("train", tmp_path / "m", "--base", tiny_base, "--data", few_topics)
    result = ftool(*call, "--set", "train.report_to=mlflow")
    assert result.exit_code == 2
    assert "pip install mlflow" in result.stderr
    assert not (tmp_path / "m" / "run").exists()
