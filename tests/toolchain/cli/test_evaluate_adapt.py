"""`ftool train`, `evaluate` and `adapt`, called from the command line on a tiny model."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from tests.helpers.cli import ftool
from tests.helpers.locks import held
from tests.helpers.tiny_models import TinyModels

from ftool.adapt import adapt
from ftool.evaluation.evaluate import evaluate
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.recipe.sections import TrainSettings
from ftool.tasks.registry import find_task
from ftool.train_model import train
from ftool_export.checkpoints.classifier import load_classifier
from ftool_runtime.errors import InputError

TEXT = "rain soup rain"  # between two topics


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def model(trained: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(trained["text-classification"], tmp_path_factory.mktemp("models") / "topics")


@pytest.fixture(scope="module")
def tagger(tiny_base: Path, tags: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tagger")
    recipe = Recipe(
        base=str(tiny_base),
        data=DataSettings(path=str(tags), label_separator="|"),
        train=TrainSettings(method="head", threads=1, thresholds="tuned"),
    )
    recipe.write(folder / "recipe.toml")
    train(recipe, folder)
    return folder


@pytest.fixture
def own_model(model: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    shutil.copytree(model, folder)
    return folder


# --- train


def test_train_prints_a_table_and_writes_the_recipe_that_flags_describe(
    tiny_base: Path, topics: Path, tmp_path: Path
) -> None:
    result = ftool(
        "train",
        tmp_path / "m",
        "--base",
        tiny_base,
        "--data",
        topics,
        "--set",
        "train.method=head",
        "--set",
        "train.threads=1",
    )
    assert result.exit_code == 0, result.output
    for words in ("validation", "test", "accuracy", "F1, macro", "hardest on test", "kept the head"):
        assert words in result.stdout
    assert Recipe.read(tmp_path / "m" / "recipe.toml").train.method == "head"


def test_train_json_is_one_object_and_nothing_else(model: Path) -> None:
    result = ftool("train", model, "--json")
    content = json.loads(result.stdout)
    assert {"task", "on", "split", "examples", "metrics"} <= content.keys()
    assert {"accuracy", "f1_macro"} <= content["metrics"].keys()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--set", "train.class_weights={sport = 2.0}"],
            "train.class_weights names 'sport', which is not a label",
        ),
        (["--set", "train.threads=0"], "train.threads must be 1 or more, got 0"),
        (["--set", "train.threads=100000"], "threads must lie between 1 and"),
        (
            ["--task", "text-classifikation"],
            'task "text-classifikation" is unknown; did you mean text-classification?',
        ),
        (["--set", "train.method=full", "--resume"], "no interrupted run to resume"),
        (["--base", "/nowhere/model"], "/nowhere/model"),
    ],
)
def test_train_says_what_is_wrong_and_changes_nothing(
    model: Path, arguments: list[str], message: str
) -> None:
    before = files(model)
    result = ftool("train", model, *arguments)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert files(model) == before


def test_an_unknown_task_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="known tasks are text-classification"):
        find_task("poetry")


# --- evaluate


def test_evaluating_run_repeats_the_metrics_of_training(model: Path) -> None:
    recorded = json.loads((model / "run" / "metrics.json").read_text())
    result = ftool("evaluate", model, "--json")
    content = json.loads(result.stdout)
    assert (content["task"], content["on"], content["split"]) == ("text-classification", "run", "test")
    assert content["metrics"] == recorded["metrics"]
    validation = evaluate(model, split="validation")
    assert validation.metrics["accuracy"] == recorded["validation"]["metrics"]["accuracy"]


def test_evaluating_several_labels_uses_the_thresholds_of_the_run(tagger: Path) -> None:
    recorded = json.loads((tagger / "run" / "metrics.json").read_text())
    assert evaluate(tagger).metrics["f1_macro"] == pytest.approx(recorded["metrics"]["f1_macro"])
    assert evaluate(tagger).metrics["f1_macro"] != evaluate(tagger).metrics["f1_macro_at_half"]


def test_other_data_is_evaluated_by_the_models_own_numbering_of_labels(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    rows = [
        ("song band guitar", "music"),
        ("bread soup", "food"),
        ("song melody", "food"),
    ]  # the last is wrong
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    content = json.loads(ftool("evaluate", model, "--data", path, "--json").stdout)
    assert content["examples"] == 3
    assert content["metrics"]["per_class"]["food"]["support"] == 2
    assert content["metrics"]["per_class"]["weather"]["support"] == 0


def test_a_label_that_the_model_does_not_know_is_named(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("text,label\nrain,weather\ngoal,sport\n")
    result = ftool("evaluate", model, "--data", path)
    assert result.exit_code == 2
    assert "sport" in result.stderr
    assert "does not know" in result.stderr


def test_evaluate_without_a_trained_model_names_the_command(model: Path, tmp_path: Path) -> None:
    shutil.copy(model / "recipe.toml", tmp_path / "recipe.toml")
    assert "`ftool train" in ftool("evaluate", tmp_path).stderr
    assert "`ftool export" in ftool("evaluate", tmp_path, "--on", "bundle").stderr


@pytest.mark.parametrize("kind", ["model", "tagger"])
def test_a_bundle_is_evaluated_by_the_same_code_to_the_same_metrics(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = tmp_path / "own"
    shutil.copytree(request.getfixturevalue(kind), folder)
    exported = ftool("export", folder, "--precision", "fp32")
    assert exported.exit_code == 0, exported.output
    bundle, torch_run = evaluate(folder, on="bundle"), evaluate(folder)
    assert bundle.on == "bundle"
    # float32 sums in another order: answers are equal, confidences nearly
    assert bundle.metrics.pop("expected_calibration_error") == pytest.approx(
        torch_run.metrics.pop("expected_calibration_error"), abs=1e-4
    )
    assert bundle.metrics == torch_run.metrics


# --- adapt


def test_adapt_teaches_one_example_and_records_it(own_model: Path) -> None:
    before = load_classifier(own_model / "run")
    answer = _answer(own_model, TEXT)
    other = next(label for label in before.labels if label != answer)
    report = adapt(own_model, TEXT, [other], max_drop=1.0)
    assert report.kept
    assert report.answer_before.label == answer
    assert report.answer_after.label == other
    assert _answer(own_model, TEXT) == other
    metrics = json.loads((own_model / "run" / "metrics.json").read_text())
    assert metrics["validation"]["metrics"]["accuracy"] == report.after
    assert metrics["metrics"]["accuracy"] == evaluate(own_model).metrics["accuracy"]
    assert [entry["labels"] for entry in metrics["adaptations"]] == [[other]]
    assert "training" in metrics  # what training recorded is kept


def test_adapt_keeps_no_change_that_costs_more_than_it_may(own_model: Path) -> None:
    before = files(own_model)
    answer = _answer(own_model, "rain sun wind")
    other = next(label for label in load_classifier(own_model / "run").labels if label != answer)
    result = ftool(
        "adapt", own_model, "--text", "rain sun wind", "--label", other, "--max-drop", "0", "--json"
    )
    content = json.loads(result.stdout)
    assert content["learned"]
    assert content["validation"]["drop"] > 0
    assert not content["kept"]
    assert result.exit_code == 1
    assert files(own_model) == before


def test_adapt_changes_nothing_where_the_model_is_right(own_model: Path) -> None:
    before = files(own_model)
    sure = max(
        load_classifier(own_model / "run").labels, key=lambda label: _score(own_model, "song band", label)
    )
    adapt(own_model, "song band", [sure], max_drop=1.0)
    known = files(own_model)
    result = ftool("adapt", own_model, "--text", "song band", "--label", sure)
    assert result.exit_code == 0
    assert "the model already gives this answer" in result.stdout
    assert files(own_model) == known
    assert before.keys() == known.keys()


def test_adapt_raises_several_labels_over_their_thresholds(tagger: Path, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    shutil.copytree(tagger, folder)
    result = ftool(
        "adapt", folder, "--text", "please about", "--label", "food", "--label", "music", "--max-drop", "1"
    )
    assert result.exit_code == 0, result.output
    report = json.loads((folder / "run" / "metrics.json").read_text())["adaptations"][0]
    assert {"food", "music"} <= set(report["answer"]["after"]["labels"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--text", TEXT, "--label", "wether"], "no label 'wether'; did you mean 'weather'?"),
        (["--text", "  ", "--label", "food"], "--text is empty"),
        (["--text", "rain \udcff", "--label", "food"], "--text is not valid Unicode"),
        (["--text", TEXT, "--label", "food", "--label", "music"], "gives each text one label, got 2"),
        (["--text", TEXT, "--label", "food", "--max-drop", "2"], "max-drop must be from 0 to 1"),
    ],
)
def test_adapt_says_what_is_wrong(model: Path, arguments: list[str], message: str) -> None:
    before = files(model)
    result = ftool("adapt", model, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert files(model) == before


def _answer(folder: Path, text: str) -> str:
    loaded = load_classifier(folder / "run")
    return max(loaded.labels, key=lambda label: _score(folder, text, label))


def _score(folder: Path, text: str, label: str) -> float:
    from ftool_export.checkpoints.classifier import compute_logits

    loaded = load_classifier(folder / "run")
    return float(compute_logits(loaded, [text])[0, loaded.labels.index(label)])


def test_a_second_adapt_in_the_same_folder_is_refused_and_changes_nothing(own_model: Path) -> None:
    before = files(own_model / "run")
    with held(own_model / "run", "ftool train"):
        refused = ftool("adapt", own_model, "--text", TEXT, "--label", "food")
    assert refused.exit_code == 2
    assert "run: ftool train (process " in refused.stderr
    assert files(own_model / "run") == before
