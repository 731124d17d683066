"""Taggers from data to bundle: alignment, windows, training, resuming, adapters, evaluation, export, parity."""

import json
import logging
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.helpers.cli import ftool
from tests.helpers.files import write_jsonl

import ftool_runtime as ft
from ftool.data.dataset import Split
from ftool.data.load import load_dataset
from ftool.data.rows.tagged_text import TaggedText
from ftool.data.rows.tags import TagReader
from ftool.errors import TrainingError
from ftool.evaluation.metrics.entities import entity_score
from ftool.evaluation.open_model import TorchTagger, open_run
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.recipe.sections import TrainSettings
from ftool.tasks.tagging import TASK
from ftool.training.batches import IGNORED
from ftool.training.tagger import TaggedRows, TaggerObjective, warn_of_entities
from ftool_export.checkpoints.tagger import LoadedTagger, create_tagger, load_tagger
from ftool_runtime.text.words import join_words

LABELS = ("O", "B-food", "I-food", "B-music", "I-music")
FOOD = ("bread", "soup", "cheese", "apple")
MUSIC = ("song", "band")
MORE_MUSIC = ("guitar", "drum")
FILLERS = ("the", "a", "please", "tell", "me", "about")


def flat(metrics: Any) -> dict[str, float]:
    """Metrics with those of each kind of entity beside the others."""
    kinds = metrics["per_class"].items()
    inner = {f"{kind} {name}": value for kind, row in kinds for name, value in row.items()}
    return {name: value for name, value in metrics.items() if name != "per_class"} | inner


def sentence(rng: random.Random, words: int) -> list[tuple[str, str]]:
    """Words with tags: of food one word is an entity, of music two are."""
    found: list[tuple[str, str]] = []
    while len(found) < words:
        draw = rng.random()
        if draw < 0.2:
            found.append((rng.choice(FOOD), "B-food"))
        elif draw < 0.4:
            found += [(rng.choice(MUSIC), "B-music"), (rng.choice(MORE_MUSIC), "I-music")]
        found.append((rng.choice(FILLERS), "O"))
    return found


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of CoNLL files; some sentences are longer than the tiny base reads."""
    folder = tmp_path_factory.mktemp("places")
    rng = random.Random(0)
    for name, count in (("train", 150), ("dev", 40), ("test", 40)):
        sentences = [sentence(rng, 60 if i % 10 == 0 else rng.randint(4, 12)) for i in range(count)]
        text = "\n".join("".join(f"{word}\t{tag}\n" for word, tag in one) for one in sentences)
        (folder / f"{name}.conll").write_text(text)
    return folder


@pytest.fixture(scope="session")
def letters(save_tiny_bert: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT whose word pieces are single letters, 24 tokens at most."""
    folder = tmp_path_factory.mktemp("letters")
    alphabet = "abcdefghijklmnopqrstuvwxyz.,'@东京"
    pieces = [*alphabet, *(f"##{letter}" for letter in alphabet)]
    save_tiny_bert(folder, pieces, length=24, hidden_size=16, num_hidden_layers=1, intermediate_size=32)
    return folder


@pytest.fixture(scope="session")
def lettered(letters: Path) -> LoadedTagger:
    """An untrained tagger of single letters, in windows of 12 tokens that share 4."""
    return create_tagger(str(letters), LABELS, max_length=12, stride=4)


def tagged(words: list[str], tags: list[str]) -> TaggedText:
    text, spans = join_words(words)
    return TaggedText(text, tuple(spans), tuple(tags))


def test_a_teachers_tags_are_learnt_at_the_first_token_of_each_word(lettered: LoadedTagger) -> None:
    data = Split([tagged(["ab", "c"], ["B-food", "O"]), tagged(["abc"], ["B-music"])], "two texts")
    objective = TaggerObjective(lettered, data, data, TrainSettings(distill_weight=1.0))
    objective.learn_from(lettered)
    batch = objective.rows.collate(objective.rows.rows)
    with torch.no_grad():
        found = objective.network().eval()(**batch)
    assert found["loss"].item() == pytest.approx(0, abs=1e-6)  # its own teacher
    labels, mask = batch["labels"], batch["attention_mask"]
    for labelled in (False, True):
        changed = (
            found["logits"]
            + torch.where((labels != IGNORED) == labelled, 1.0, 0.0)[..., None] * torch.eye(5)[0]
        )
        loss = objective.imitation(changed, batch["taught"], labels, mask).item()
        assert (loss > 0.01) == labelled


def labels_of(rows: TaggedRows) -> list[list[str]]:
    return [["-" if label == IGNORED else LABELS[label] for label in row.target] for row in rows.rows]


# --- rows ----------------------------------------------------------------------------------------------------------


def test_the_first_piece_of_a_word_has_its_tag_and_the_others_none(lettered: LoadedTagger) -> None:
    rows = TaggedRows(lettered, [tagged(["Soup", "is", "@me"], ["B-food", "O", "B-music"])])
    assert labels_of(rows) == [["-", "B-food", "-", "-", "-", "O", "-", "B-music", "-", "-", "-"]]
    assert (rows.cut, rows.tokenless_words) == (0, 0)


def test_a_batch_is_padded_where_nothing_is_learnt(lettered: LoadedTagger) -> None:
    rows = TaggedRows(lettered, [tagged(["a"], ["O"]), tagged(["ab", "c"], ["B-food", "O"])])
    batch = rows.collate([rows[0], rows[1]])
    assert batch["labels"].tolist() == [[-100, 0, -100, -100, -100], [-100, 1, -100, 0, -100]]
    assert batch["attention_mask"].sum(dim=1).tolist() == [3, 5]
    assert rows.lengths == [3, 5]


def test_an_entity_that_crosses_a_cut_is_learnt_where_it_is_whole(lettered: LoadedTagger) -> None:
    words = ["aaaa", "bbb", "cc", "dd", "ee"]  # of ten pieces in the first window the last are cc and d
    rows = TaggedRows(lettered, [tagged(words, ["O", "O", "B-food", "I-food", "O"])])
    first, second = labels_of(rows)
    assert first == ["-", "O", "-", "-", "-", "O", "-", "-", "B-food", "-", "I-food", "-"]
    assert second == ["-", "-", "B-food", "-", "I-food", "-", "O", "-", "-"]
    assert rows.cut == 0

    words = ["aaaa", "bbbb", "cc", "dd"]  # dd begins behind the first window
    rows = TaggedRows(lettered, [tagged(words, ["O", "O", "B-food", "I-food"])])
    first, second = labels_of(rows)
    assert first == [
        "-",
        "O",
        "-",
        "-",
        "-",
        "O",
        "-",
        "-",
        "-",
        "-",
        "-",
        "-",
    ]  # cc is not taught as an entity
    assert second[-5:] == ["B-food", "-", "I-food", "-", "-"]
    assert rows.cut == 0


def test_an_entity_longer_than_windows_overlap_is_counted(
    lettered: LoadedTagger, caplog: pytest.LogCaptureFixture
) -> None:
    rows = TaggedRows(
        lettered, [tagged(["aaaaa", "bbbbb", "cccc", "d"], ["O", "B-food", "I-food", "I-food"])]
    )
    assert rows.cut == 1
    first, second = labels_of(rows)
    assert [label for label in first + second if label != "-"] == ["O", "B-food", "I-food", "I-food"]
    warn_of_entities(rows, "train")
    assert "1 train entities are longer than the overlap of two windows" in caplog.text


def test_words_that_the_tokenizer_drops_are_counted(
    lettered: LoadedTagger, caplog: pytest.LogCaptureFixture
) -> None:
    rows = TaggedRows(lettered, [tagged(["a", "\u200b", "b"], ["O", "O", "B-food"])])
    assert rows.tokenless_words == 1
    assert labels_of(rows) == [["-", "O", "B-food", "-"]]
    split = Split([tagged(["\u200b"], ["O"]), tagged(["a"], ["O"])], "data.conll")
    with caplog.at_level(logging.WARNING):
        recipe = Recipe(task=TASK.name, data=DataSettings(path="x"))
        fitted, _ = TASK.fit(open_run(lettered, TorchTagger(lettered)), split, "test", recipe)
        assert [one.text for one in fitted.examples] == ["a"]
    assert "data.conll: 1 texts have no tokens" in caplog.text


# --- training ------------------------------------------------------------------------------------------------------

TRAIN = {
    "epochs": "4",
    "learning_rate": "5e-3",
    "batch_size": "8",
    "evaluations_per_epoch": "1",
    "max_length": "32",
    "stride": "10",
    "threads": "1",
}


def write_recipe(folder: Path, base: Path, data: Path, **settings: str) -> Path:
    recipe = Recipe(task="token-classification", base=str(base), data=DataSettings(path=str(data)))
    folder.mkdir(parents=True, exist_ok=True)
    changes = [f"train.{name}={value}" for name, value in {**TRAIN, **settings}.items()]
    recipe.with_overrides(changes).write(folder / "recipe.toml")
    return folder


@pytest.fixture(scope="session")
def trained(tiny_base: Path, places: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A model folder after `ftool train`, and what the command printed."""
    folder = write_recipe(tmp_path_factory.mktemp("tagger"), tiny_base, places)
    result = ftool("train", folder, "--json")
    assert result.exit_code == 0, result.output
    return folder, json.loads(result.stdout)


@pytest.fixture(scope="session")
def exported(trained: tuple[Path, Any]) -> Path:
    """That folder with an fp32 bundle."""
    result = ftool("export", trained[0], "--precision", "fp32", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["gate"]["metric"] == "f1"
    return trained[0]


def test_training_learns_and_reports_entities(trained: tuple[Path, Any]) -> None:
    _, told = trained
    assert told["task"] == "token-classification"
    assert told["metrics"]["f1"] > 0.9
    assert set(told["metrics"]["per_class"]) == {"food", "music"}
    assert told["data"]["entities"]["test"] == told["metrics"]["entities"]
    assert told["training"]["fine_tuning"]["windows"] > told["data"]["examples"]["train"]


def test_the_run_is_a_checkpoint_of_transformers(trained: tuple[Path, Any]) -> None:
    from transformers import AutoModelForTokenClassification

    model = AutoModelForTokenClassification.from_pretrained(trained[0] / "run")
    assert tuple(model.config.id2label.values()) == LABELS
    loaded = load_tagger(trained[0] / "run")
    assert (loaded.max_length, loaded.stride, loaded.aggregation) == (32, 10, "first")


def test_evaluating_run_and_bundle_gives_the_figures_of_training(
    exported: Path, trained: tuple[Path, Any]
) -> None:
    for on in ("run", "bundle"):
        result = ftool("evaluate", exported, "--on", on, "--json")
        assert result.exit_code == 0, result.output
        told = json.loads(result.stdout)
        assert flat(told["metrics"]) == pytest.approx(flat(trained[1]["metrics"]))


def test_the_predictions_that_are_written_give_the_same_figure(exported: Path, tmp_path: Path) -> None:
    result = ftool("evaluate", exported, "--on", "bundle", "--predictions", tmp_path / "told.jsonl", "--json")
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in (tmp_path / "told.jsonl").read_text().splitlines()]
    assert len(rows) == 40
    figure = entity_score([row["tags"] for row in rows], [row["predicted"] for row in rows])
    assert json.loads(result.stdout)["metrics"]["f1"] == figure


def test_metrics_can_be_told_by_slice(exported: Path, places: Path, tmp_path: Path) -> None:
    data = load_dataset(TagReader, DataSettings(path=str(places)))
    rows = [
        {"tokens": one.tokens, "tags": one.tags, "long": len(one.tokens) > 20} for one in data.test.examples
    ]
    path = write_jsonl(tmp_path / "data.jsonl", rows)
    result = ftool("evaluate", exported, "--data", path, "--by", "long", "--min-examples", "1", "--json")
    assert result.exit_code == 0, result.output
    assert "long" in json.loads(result.stdout)["slices"]


def test_parity_of_fp32_is_the_same_entities_on_the_whole_test_split(exported: Path) -> None:
    result = ftool("parity", exported, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["passed"]
    assert told["examples"] == 40
    assert told["agreement"] == 1


@pytest.mark.parametrize("precision", ["int8", pytest.param("w8", marks=pytest.mark.slow)])
def test_quantised_bundles_are_judged_by_f1(
    trained: tuple[Path, Any], tmp_path: Path, precision: str
) -> None:
    folder = Path(shutil.copytree(trained[0], tmp_path / "model", ignore=shutil.ignore_patterns("bundle")))
    result = ftool("export", folder, "--precision", precision, "--max-drop", "0.05", "--json")
    assert result.exit_code == 0, result.output
    gate = json.loads(result.stdout)["gate"]
    assert (gate["metric"], gate["judged"], gate["passed"]) == ("f1", True, True)
    assert ftool("parity", folder, "--json").exit_code == 0


def test_resuming_goes_on_to_the_same_weights(
    tiny_base: Path, places: Path, trained: tuple[Path, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ftool.training import tagger

    folder = write_recipe(tmp_path / "tagger", tiny_base, places)
    calls = []
    score = tagger.entity_score  # type: ignore[attr-defined]

    def stop(*given: Any) -> float:
        calls.append(1)
        if len(calls) == 3:
            raise TrainingError("the power went out")
        return float(score(*given))

    with monkeypatch.context() as patch:
        patch.setattr(tagger, "entity_score", stop)
        assert ftool("train", folder).exit_code == 2
    assert any((folder / "run.partial").glob("checkpoint-*/complete"))
    result = ftool("train", folder, "--resume", "--json")
    assert result.exit_code == 0, result.output
    assert flat(json.loads(result.stdout)["metrics"]) == pytest.approx(flat(trained[1]["metrics"]))
    first, second = (load_tagger(one / "run").model.state_dict() for one in (folder, trained[0]))
    for name, value in first.items():
        np.testing.assert_allclose(value.numpy(), second[name].numpy(), atol=1e-6)  # sums in another order
    other = ftool("train", folder, "--resume", "--set", "train.epochs=2")
    assert other.exit_code == 2


@pytest.mark.parametrize(("scores", "kept"), [((0.0, 0.0, 0.0), 2), ((0.0, 0.0, 1e-3), 3)])
def test_the_score_decides_between_weights_and_then_the_loss(
    tiny_base: Path, places: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scores: Any, kept: int
) -> None:
    from ftool.training.tagger import TaggerObjective

    measured = iter(
        [{"loss": loss, "score": score} for loss, score in zip((3.0, 2.0, 2.5), scores, strict=True)]
    )
    monkeypatch.setattr(TaggerObjective, "measure", lambda *_: next(measured))
    folder = write_recipe(tmp_path / "tagger", tiny_base, places, epochs="3")
    result = ftool("train", folder, "--json")
    assert result.exit_code == 0, result.output
    fine = json.loads(result.stdout)["training"]["fine_tuning"]
    assert (
        fine["best_step"] == kept * fine["updates"] / 3
    )  # a random layer is none to choose, and not measured


def test_adapters_are_merged_into_the_run(tiny_base: Path, places: Path, tmp_path: Path) -> None:
    settings = {"method": "lora", "learning_rate": "1e-2"}
    folder = write_recipe(tmp_path / "tagger", tiny_base, places, **settings)
    result = ftool("train", folder, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["training"]["fine_tuning"]["merge_difference"] < 1e-3
    assert told["metrics"]["f1"] > 0.7
    assert load_tagger(folder / "run").labels == LABELS


# --- the bundle ----------------------------------------------------------------------------------------------------


def test_a_bundle_finds_entities_with_their_places(exported: Path) -> None:
    with ft.TokenTagger.load(exported / "bundle") as tagger:
        text = "please  tell\tme the SONG guitar about soup"
        found = tagger(text)
        assert [(one.text, one.label) for one in found] == [("SONG guitar", "music"), ("soup", "food")]
        assert all(text[one.start : one.end] == one.text and 0 < one.score <= 1 for one in found)
        assert tagger([text, "tell me"])[0] == found
        assert tagger([]) == []
        assert tagger.tags([["the", "song", "guitar"]]) == [["O", "B-music", "I-music"]]


def test_a_long_text_is_read_to_its_end(exported: Path) -> None:
    text = "tell me about the song guitar please " * 30
    with ft.TokenTagger.load(exported / "bundle") as tagger:
        found = tagger(text)
    assert [one.text for one in found] == ["song guitar"] * 30
    assert len({one.start for one in found}) == 30


def test_predict_prints_entities(exported: Path) -> None:
    result = ftool("predict", exported, "tell me about soup")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["text"] == "tell me about soup"
    assert [(one["text"], one["label"], one["start"], one["end"]) for one in told["entities"]] == [
        ("soup", "food", 14, 18)
    ]


def test_other_data_with_a_kind_that_the_model_lacks_is_refused(exported: Path, tmp_path: Path) -> None:
    (tmp_path / "other.conll").write_text("Rome\tB-city\n")
    for on in ("run", "bundle"):
        result = ftool("evaluate", exported, "--on", on, "--data", tmp_path / "other.conll")
        assert result.exit_code == 2
        assert "row 1 with the label 'city', which the model does not know" in result.output


def test_verify_replays_a_tagger(exported: Path) -> None:
    assert ft.verify(exported / "bundle").passed


def test_one_example_is_for_classifiers(exported: Path) -> None:
    result = ftool("adapt", exported, "--text", "soup", "--label", "food")
    assert result.exit_code == 2
    assert (
        "taught to models for text-classification; the task of this model is token-classification"
        in result.output
    )
