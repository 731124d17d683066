"""`ftool shrink`: the files that it writes, what the smaller model answers, and what is refused."""

import json
import re
import shutil
import string
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.helpers.cli import ftool, succeeds, told
from tests.helpers.tiny_models import TinyModels

import ftool_runtime as ft
from ftool.recipe.recipe import Recipe
from ftool_export.checkpoints.classifier import compute_logits, load_classifier

QUICK = ("--set", "train.epochs=1", "--set", "train.threads=1", "--set", "train.evaluations_per_epoch=1")


def refused(*arguments: object) -> str:
    result = ftool(*arguments)
    assert result.exit_code == 2, result.output
    return result.output


@pytest.fixture(scope="module")
def classifier(trained: TinyModels) -> Path:
    return trained["text-classification"]


def test_the_smaller_model_is_a_model_folder_taught_by_the_larger(classifier: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    report = told("shrink", classifier, "-o", small, "--layers", 1, "--vocabulary", "data", *QUICK)
    assert report["layers"] == {"encoder.layer": [0]}
    assert report["parameters"]["after"] < report["parameters"]["before"]
    assert report["tokens"]["after"] <= report["tokens"]["before"]
    recipe = Recipe.read(small / "recipe.toml")
    assert 'base = "base"' in (small / "recipe.toml").read_text()
    assert Path(recipe.train.distill_from or "").resolve() == classifier.resolve()
    assert recipe.train.method == "full"  # the larger one trained its head alone
    assert load_classifier(small / "run").config.num_hidden_layers == 1
    measured = told("evaluate", small)
    assert measured["metrics"]["accuracy"] == report["trained"]["metrics"]["accuracy"]
    moved = tmp_path / "elsewhere" / "small"
    moved.parent.mkdir()
    shutil.move(small, moved)
    assert Path(Recipe.read(moved / "recipe.toml").base).resolve() == moved / "base"


RARE = "choir"  # a word of the base that the training texts lack


@pytest.fixture(scope="module")
def spelled(
    save_tiny_bert: Callable[..., None], topics: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A classifier whose base has the data's words, one word more, and letters to spell all words with."""
    folder = tmp_path_factory.mktemp("spelled")
    texts = {name: (topics / f"{name}.csv").read_text() for name in ("train", "validation", "test")}
    words = sorted({word for text in texts.values() for word in re.findall("[a-z]+", text)})
    letters = [*string.ascii_lowercase, *(f"##{letter}" for letter in string.ascii_lowercase)]
    save_tiny_bert(folder / "base", [*letters, *(word for word in words if len(word) > 1)], length=32)
    for name, text in texts.items():
        kept = [line for line in text.splitlines() if RARE not in line]
        (folder / f"{name}.csv").write_text("\n".join(kept) + "\n")
    flags = ("--set", "train.method=head", "--set", "train.threads=1")
    succeeds("new", folder / "model", "--base", folder / "base", "--data", folder, *flags)
    succeeds("train", folder / "model")
    return folder / "model"


def test_a_smaller_vocabulary_alone_needs_no_training(spelled: Path, tmp_path: Path) -> None:
    said = refused("shrink", spelled, "-o", tmp_path / "small", "--vocabulary", 5)
    size = int(said.split("need ")[1].split()[0])
    report = told("shrink", spelled, "-o", tmp_path / "small", "--vocabulary", size)
    assert report["tokens"]["after"] == size < report["tokens"]["before"]
    assert report["trained"]["training"]["kept"] == "the weights of model"
    small, large = (load_classifier(folder / "run") for folder in (tmp_path / "small", spelled))
    assert large.tokenizer.tokenize(RARE) == [RARE]
    assert small.tokenizer.tokenize(RARE) == ["c", "##h", "##o", "##i", "##r"]
    lines = (spelled.parent / "train.csv").read_text().splitlines()[1:]
    texts = [line.rpartition(",")[0] for line in lines]
    assert (compute_logits(small, texts) == compute_logits(large, texts)).all()
    assert report["trained"]["recipe"]["train"]["distill_from"] is None


def test_a_margin_that_holds_all_tokens_drops_none(spelled: Path, tmp_path: Path) -> None:
    tokens = told("shrink", spelled, "-o", tmp_path / "small", "--vocabulary", "data")["tokens"]
    assert tokens["after"] == tokens["before"]


def test_the_base_keeps_the_name_and_the_licence_of_its_own_base(classifier: Path, tmp_path: Path) -> None:
    told("shrink", classifier, "-o", tmp_path / "small", "--layers", 1, *QUICK)
    name, small = (load_classifier(path / "run").base for path in (classifier, tmp_path / "small"))
    assert small == name != "base"


def test_a_model_without_layers_ships_as_any_other(classifier: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    report = told("shrink", classifier, "-o", small, "--layers", 0, *QUICK)
    loaded, larger = (load_classifier(path / "run") for path in (small, classifier))
    assert loaded.config.model_type == "ngrams"
    assert (loaded.base, loaded.licence) == (larger.base, larger.licence)
    assert loaded.tokenizer.get_vocab() == larger.tokenizer.get_vocab()
    assert report["layers"] == {}
    exported = told("export", small)
    assert (exported["precision"], exported["gate"]["passed"]) == ("w8", True)
    assert told("parity", small)["passed"]
    texts = ["the match", "a goal in the last minute of the match", "parliament"]
    with ft.load(small / "bundle") as model:
        assert model.info()["architecture"] == "ngrams"
        assert [one.label for one in model(texts)] == [model(text).label for text in texts]


def test_a_model_without_layers_only_classifies_texts(trained: TinyModels, tmp_path: Path) -> None:
    said = refused("shrink", trained["translation"], "-o", tmp_path / "small", "--layers", 0)
    assert "--layers 0: a model without layers can only classify texts, not do translation" in said
    assert not (tmp_path / "small").exists()


def test_a_generator_with_fewer_tokens_writes_the_same(trained: TinyModels, tmp_path: Path) -> None:
    folder = trained["translation"]
    report = told("shrink", folder, "-o", tmp_path / "small", "--vocabulary", "data")
    larger = json.loads((folder / "run" / "metrics.json").read_text())
    assert report["trained"]["metrics"]["token_accuracy"] == larger["metrics"]["token_accuracy"]
    assert report["tokens"]["after"] <= report["tokens"]["before"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "nothing to drop"),
        (("--layers", "7"), "the model has 2 layers"),
        (("--layers", "some"), "--layers takes a number, or places such as 0,2,5"),
        (("--vocabulary", "some"), "--vocabulary takes a number or data"),
        (("--vocabulary", "5"), "single characters need"),
    ],
)
def test_what_can_not_be_dropped_is_refused(
    classifier: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    assert message in refused("shrink", classifier, "-o", tmp_path / "small", *arguments)
    assert not (tmp_path / "small" / "recipe.toml").exists()


def test_an_existing_model_folder_is_kept(classifier: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text("mine")
    said = refused("shrink", classifier, "-o", tmp_path, "--layers", 1)
    assert "a recipe already exists" in said
    assert (tmp_path / "recipe.toml").read_text() == "mine"


def test_one_layer_can_be_named_by_its_place(classifier: Path, tmp_path: Path) -> None:
    report = told("shrink", classifier, "-o", tmp_path / "small", "--layers", "1,", "--no-train")
    assert report["layers"] == {"encoder.layer": [1]}


def test_what_an_export_chooses_from_is_not_passed_on(classifier: Path, tmp_path: Path) -> None:
    choose = ('export.shrink=["1"]', f'export.candidates=["{tmp_path}"]')
    folder = Path(shutil.copytree(classifier, tmp_path / "model"))
    Recipe.read(folder / "recipe.toml").with_overrides(choose).write(folder / "recipe.toml")
    told("shrink", folder, "-o", tmp_path / "small", "--layers", "1", "--no-train")
    export = Recipe.read(tmp_path / "small" / "recipe.toml").export
    assert (export.shrink, export.candidates) == ((), ())


def test_a_model_can_be_made_without_its_training(classifier: Path, tmp_path: Path) -> None:
    said = succeeds("shrink", classifier, "-o", tmp_path / "small", "--layers", "1", "--no-train").output
    assert f"Next: ftool train {tmp_path / 'small'}" in said
    assert not (tmp_path / "small" / "run").exists()
