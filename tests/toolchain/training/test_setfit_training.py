"""Training with `method = "setfit"`: what is learnt, the order of examples, resuming, and what is refused."""

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.helpers.training import interrupted_after, same_weights

from ftool.data.load import load_dataset
from ftool.data.rows.labels import LabelReader
from ftool.errors import RecipeError, TrainingError
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.recipe.sections import TrainSettings
from ftool.train_model import train
from ftool.training.contrastive import Couples, SetFitObjective, label_examples
from ftool_export.checkpoints.classifier import compute_logits, create_classifier, load_classifier


def recipe(base: Path, data: Path, **settings: Any) -> Recipe:
    chosen = {"method": "setfit", "epochs": 1, "batch_size": 16, "learning_rate": 1e-3, "threads": 1}
    separator = "|" if "tags" in data.name else None
    return Recipe(
        base=str(base),
        data=DataSettings(path=str(data), label_separator=separator),
        train=TrainSettings(**{**chosen, **settings}),
    )


def encoder_changed(base: Path, run: Path) -> bool:
    before, after = (load_file(folder / "model.safetensors") for folder in (base, run))
    return any(not torch.equal(before[name], after[name]) for name in before)


# --- what is learnt


@pytest.mark.parametrize("kind", ["topics", "tags", "pairs"])
def test_encoder_and_head_learn_one_label_several_labels_and_pairs(
    tiny_base: Path, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    data = as_pairs(request.getfixturevalue("topics"), tmp_path) if kind == "pairs" else None
    made = recipe(tiny_base, data or request.getfixturevalue(kind), epochs=3)
    report = train(made, tmp_path / "model")
    tuned = report.training["fine_tuning"]
    assert tuned["best_step"] > 0
    assert tuned["best_score"] > tuned["start_score"]
    assert (
        tuned["start_score"] == report.training["head"]["best"]["score"]
    )  # both are the head of the base's encoder
    assert encoder_changed(tiny_base, tmp_path / "model/run")


def as_pairs(topics: Path, folder: Path) -> Path:
    """The same sentences, each as two texts."""
    made = folder / "pairs"
    made.mkdir()
    for split in ("train", "validation", "test"):
        with (topics / f"{split}.csv").open(newline="") as source:
            rows = [(row["text"], "and so on", row["label"]) for row in csv.DictReader(source)]
        with (made / f"{split}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("text", "text_pair", "label"), *rows])
    return made


def test_the_head_that_is_kept_was_trained_on_the_encoder_that_is_kept(
    tiny_base: Path, topics: Path, tmp_path: Path
) -> None:
    made = recipe(tiny_base, topics, evaluations_per_epoch=3)
    train(made, tmp_path)
    kept, data = load_classifier(tmp_path / "run"), load_dataset(LabelReader, made.data)
    objective = SetFitObjective(kept, data, made.train)
    before = compute_logits(kept, data.test.inputs)
    objective.measure(None)
    torch.testing.assert_close(compute_logits(kept, data.test.inputs), before, atol=1e-4, rtol=1e-4)


def test_weights_that_do_not_help_are_not_kept(tiny_base: Path, topics: Path, tmp_path: Path) -> None:
    report = train(recipe(tiny_base, topics, learning_rate=1e-12, epochs=1), tmp_path)
    assert report.training["kept"] == "the head on the frozen encoder, which fine-tuning did not beat"
    assert not encoder_changed(tiny_base, tmp_path / "run")


def test_the_loss_is_smaller_if_texts_of_one_label_are_nearer(
    tiny_base: Path, topics: Path, tags: Path
) -> None:
    near = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
    mixed = near[[0, 2, 1, 3]]
    for data, labels in (
        (topics, torch.tensor([0, 0, 1, 1])),
        (tags, torch.tensor([[1.0, 0, 0], [1, 0, 1], [0, 1, 0], [0, 1, 0]])),
    ):
        made = recipe(tiny_base, data)
        read = load_dataset(LabelReader, made.data)
        loaded = create_classifier(str(tiny_base), read.labels, multi_label=read.facts["multi_label"])
        objective = SetFitObjective(loaded, read, made.train)
        assert (
            objective.loss(near, labels, torch.empty(0)) < objective.loss(mixed, labels, torch.empty(0)) - 1
        )


@pytest.mark.parametrize(
    ("labels", "texts"),
    [
        (("card_arrival", "cardPayment", "top-up 2"), ["card arrival", "card Payment", "top up 2"]),
        (("LABEL_0", "LABEL_1"), []),
        (("0", "1"), []),
        (("1 star", "5 star"), []),
        (("A1", "B2", "refund"), ["refund"]),
        (("天气", "音乐"), ["天气", "音乐"]),
        (("ATM support", "eBay", "n/a", "Élan"), ["ATM support", "e Bay", "Élan"]),
    ],
)
def test_names_of_labels_are_examples_if_they_are_words(labels: tuple[str, ...], texts: list[str]) -> None:
    found = label_examples(labels)
    assert [one.text for one in found] == texts
    assert all(one.labels[0] in labels for one in found)


@pytest.mark.parametrize("kind", ["topics", "pairs"])
def test_names_are_learnt_and_not_measured(tiny_base: Path, kind: str, topics: Path, tmp_path: Path) -> None:
    made = recipe(tiny_base, as_pairs(topics, tmp_path) if kind == "pairs" else topics)
    data = load_dataset(LabelReader, made.data)
    loaded = create_classifier(str(tiny_base), data.labels, multi_label=False, pairs=kind == "pairs")
    objective = SetFitObjective(loaded, data, made.train)
    assert len(objective.rows) == len(data.train) + (0 if kind == "pairs" else 3)
    assert len(objective.validation) == len(data.validation)


# --- the order of examples


def test_every_batch_holds_examples_of_one_label_two_by_two() -> None:
    classes = [(name,) for name in "abcdefgh" for _ in range(8)]
    order = Couples(classes, [1 + row % 5 for row in range(64)], 16, seed=3)
    passes = []
    for epoch in range(2):
        order.set_epoch(epoch)
        rows = list(order)
        assert len(rows) == len(order) == 5 * 64
        assert all(classes[rows[at]] == classes[rows[at + 1]] for at in range(0, len(rows), 2))
        assert list(order) == rows  # a resumed run sees the same
        passes += [rows[at : at + 64] for at in range(0, len(rows), 64)]
    assert all(sorted(one) == list(range(64)) for one in passes)
    assert len({tuple(one) for one in passes}) == 10


def test_examples_that_do_not_fill_a_batch_or_a_couple_take_turns() -> None:
    classes = [("a",)] * 5 + [("b",)] * 5 + [("c",)]
    order = Couples(classes, [1 + row for row in range(11)], 4, seed=0)
    seen: Counter[int] = Counter()
    for epoch in range(6):
        order.set_epoch(epoch)
        rows = list(order)
        assert len(rows) == len(order) == 5 * 8  # two batches of the 11 a pass
        assert all(classes[rows[at]] == classes[rows[at + 1]] for at in range(0, len(rows), 2))
        seen.update(rows)
    assert set(seen) == set(range(11))
    assert max(seen.values()) < 5 * min(seen.values())  # the longest wait no more often than the others


def test_an_example_of_several_labels_meets_examples_of_each() -> None:
    classes = [("a", "b"), ("a",), ("b",), ()]
    met: set[int] = set()
    for epoch in range(20):
        order = Couples(classes, [1] * 4, 4, seed=0)
        order.set_epoch(epoch)
        rows = list(order)
        met |= {sum(couple) for couple in zip(rows[::2], rows[1::2], strict=True) if 0 in couple}
    assert {1, 2} <= met
    assert 3 not in met


# --- resuming


def test_a_resumed_run_ends_where_the_unbroken_one_does(
    tiny_base: Path, few_topics: Path, tmp_path: Path
) -> None:
    made = recipe(tiny_base, few_topics, evaluations_per_epoch=4)
    with interrupted_after(saves=2):
        train(made, tmp_path)
    resumed = train(made, tmp_path, resume=True)
    unbroken = train(made, tmp_path / "unbroken")
    for report in (resumed, unbroken):
        del report.training["fine_tuning"]["seconds"]
    assert resumed.training["fine_tuning"] == unbroken.training["fine_tuning"]
    assert same_weights(tmp_path / "run", tmp_path / "unbroken/run")


# --- what is refused


def test_numbers_are_refused(tiny_base: Path, tmp_path: Path) -> None:
    rows = "".join(f"text {row},{row / 7}\n" for row in range(60))
    (tmp_path / "data.csv").write_text("text,score\n" + rows)
    with pytest.raises(TrainingError, match=r'has numbers \(data\.regression\); set it to "full" or "head"'):
        train(recipe(tiny_base, tmp_path / "data.csv"), tmp_path / "model")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"samples": "single"}, r'set train\.samples to "multi", or train\.method to "head" or "full"'),
        ({"batch_size": 2}, r"train\.batch_size must be an even number from 4 on, got 2"),
        ({"batch_size": 7}, "got 7"),
    ],
)
def test_batches_without_texts_to_compare_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Recipe(data=DataSettings(path="x"), train=TrainSettings(method="setfit", **settings))


def test_tasks_without_labels_of_texts_refuse_it() -> None:
    with pytest.raises(RecipeError, match=r'train\.method can\'t be "setfit" for token-classification'):
        Recipe(task="token-classification", data=DataSettings(path="x"), train=TrainSettings(method="setfit"))
