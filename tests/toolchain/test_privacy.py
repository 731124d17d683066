"""What a bundle's files say about its maker: no training text, no path, and what the export lists."""

import json
import shutil
from pathlib import Path

import pytest
from tests.helpers.cli import succeeds, told
from tests.helpers.paths import REPOSITORY
from tests.helpers.tiny_models import TINY_MODELS, TinyModels

from ftool.data.load import load_dataset
from ftool.recipe.recipe import Recipe


def texts_of(recipe: Recipe) -> list[str]:
    """The texts of several words in a recipe's data, of all splits."""
    data = load_dataset(recipe.row.reader, recipe.data, quiet=True)
    examples = [one for split in data.splits.values() for one in split.examples]
    texts = {text for one in examples for part in one.named_texts.values() for text in part.splitlines()}
    return sorted(text for text in texts if len(text.split()) > 2)


def holds(bundle: Path, wanted: str) -> list[str]:
    """The files of a bundle that contain a string, in UTF-8 or escaped as in JSON."""
    forms = (wanted.encode(), json.dumps(wanted)[1:-1].encode())
    files = [file for file in bundle.rglob("*") if file.is_file()]
    return [file.name for file in files if any(form in file.read_bytes() for form in forms)]


@pytest.fixture(scope="session")
def writer(trained: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model folder of a tiny translator, whose tokenizer was learnt from its data, with a bundle."""
    folder = shutil.copytree(trained["translation"], tmp_path_factory.mktemp("writer") / "model")
    told("export", folder, "--max-drop", "0.5")
    return folder


@pytest.mark.parametrize("task", TINY_MODELS)
def test_a_bundle_holds_no_training_text_and_no_path(
    task: str, exported: TinyModels, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue("writer") if task == "translation" else exported[task]
    recipe = Recipe.read(folder / "recipe.toml")
    texts = texts_of(recipe)
    assert len(texts) > 30
    found = {text: files for text in texts if (files := holds(folder / "bundle", text))}
    assert found == {}
    places = [Path(recipe.data.path), folder, Path.home(), REPOSITORY, Path(shutil.__file__).parent]
    for place in map(str, places):
        assert holds(folder / "bundle", place) == [], place


def test_the_export_says_what_the_bundle_holds(exported: TinyModels, tmp_path: Path) -> None:
    folder = shutil.copytree(exported["text-classification"], tmp_path / "model")
    shutil.rmtree(folder / "bundle")
    told_lines = succeeds("export", folder, "--max-drop", "0.2").stdout
    assert "of your data and names it holds the names of 3 labels" in told_lines
    assert "no texts and no paths" in told_lines
    card = (folder / "bundle" / "README.md").read_text(encoding="utf-8")
    assert "Of its maker's data and names, the bundle holds the names of 3 labels" in card


def test_texts_of_the_data_are_there_only_on_request_and_are_said(
    exported: TinyModels, tmp_path: Path
) -> None:
    folder = shutil.copytree(exported["text-classification"], tmp_path / "model")
    report = told("export", folder, "--max-drop", "0.2", "--golden", "data")
    assert any("texts of the data, in golden.json" in what for what in report["disclosed"])
    texts = texts_of(Recipe.read(folder / "recipe.toml"))
    assert {file for text in texts for file in holds(folder / "bundle", text)} == {"golden.json"}


def test_a_tokenizer_that_was_learnt_from_the_data_is_said(writer: Path) -> None:
    card = (writer / "bundle" / "README.md").read_text(encoding="utf-8")
    assert "the words of the training texts" in card
