"""Smaller models that the ladder makes itself."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.helpers.cli import ftool, told
from tests.helpers.tiny_models import TinyModels

from ftool.bench.measure import BenchSettings
from ftool.errors import RecipeError
from ftool.ladder import climb
from ftool.ladder.shrunk import Shape, shrunk_folder
from ftool.recipe.recipe import Recipe

QUICK = BenchSettings(rounds=1, texts_per_round=2, throughput_rounds=1, throughput_texts=4, cold_starts=1)


@pytest.mark.parametrize(
    ("text", "shape", "name"),
    [
        ("vocabulary", Shape(None, "data"), "vocabulary"),
        ("vocabulary=20000", Shape(None, 20000), "vocabulary-20000"),
        ("3", Shape(3, None), "3-layers"),
        ("0", Shape(0, None), "0-layers"),
        ("1+vocabulary", Shape(1, "data"), "1-layer-vocabulary"),
    ],
)
def test_a_shape_is_read_from_its_text(text: str, shape: Shape, name: str) -> None:
    assert Shape.parse(text) == shape
    assert shape.name == name


@pytest.mark.parametrize(
    "text", ["", "+", "3vocabulary", "+vocabulary", "3+", "small", "vocabulary=", "vocabulary=x"]
)
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(RecipeError, match='takes "vocabulary" or "vocabulary=20000"'):
        Shape.parse(text)


def test_a_smaller_vocabulary_is_made_once_and_is_a_candidate(
    trained: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(climb, "ladder_settings", lambda _: QUICK)
    folder = Path(shutil.copytree(trained["text-classification"], tmp_path / "model"))
    call = ("export", folder, "--precision", "auto", "--max-drop", "0.3", "--shrink", "1+vocabulary")
    first: dict[str, Any] = told(*call)["ladder"]
    assert {one["name"] for one in first["candidates"]} >= {"int8", "1-layer-vocabulary-int8"}
    made = folder / "ladder" / "models" / "1-layer-vocabulary" / "run" / "metrics.json"
    before = made.stat().st_mtime_ns
    assert told(*call)["ladder"] == first
    assert made.stat().st_mtime_ns == before


def test_a_smaller_model_is_trained_by_the_given_recipe_and_again_if_that_changes(
    trained: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def fake(_: Path, place: Path, *, recipe: Recipe, **options: Any) -> Any:
        assert options["layers"] == 1
        made.append(recipe.train.seed)
        (place / "run").mkdir(parents=True)
        return SimpleNamespace(lines=list)

    monkeypatch.setattr("ftool.ladder.shrunk.shrink", fake)
    folder = trained["text-classification"]
    recipe = Recipe.read(folder / "recipe.toml")
    for seed in (3, 3, 4):
        changed = replace(recipe, train=replace(recipe.train, seed=seed))
        source: Any = SimpleNamespace(recipe=changed, sha256="0")
        assert shrunk_folder(tmp_path, folder, source, "1") == tmp_path / "models" / "1-layer"
    assert made == [3, 4]


def test_a_bundle_of_a_smaller_model_is_compared_with_that_model(
    trained: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(climb, "ladder_settings", lambda _: QUICK)
    folder = Path(shutil.copytree(trained["text-classification"], tmp_path / "model"))
    flags = ("--max-drop", "1", "--prefer", "size", "--shrink", "1")
    chosen = told("export", folder, "--precision", "auto", *flags)["ladder"]["chosen"]
    assert chosen.startswith("1-layer-")
    assert told("parity", folder)["passed"]
    told("evaluate", folder, "--on", "bundle")
    shutil.rmtree(folder / "ladder")
    result = ftool("parity", folder)
    assert result.exit_code == 2
    assert "was made from another model, 1-layer" in result.stderr


def test_a_checkpoint_has_no_training_data_to_shrink_with(
    trained: TinyModels, topics: Path, tmp_path: Path
) -> None:
    run = trained["text-classification"] / "run"
    flags = ("--precision", "auto", "--shrink", "vocabulary", "--data", topics)
    result = ftool("export", "--checkpoint", run, "-o", tmp_path / "bundle", *flags)
    assert result.exit_code == 2
    assert "--shrink needs the training data of a model folder" in result.stderr
