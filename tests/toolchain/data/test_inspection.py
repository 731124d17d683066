"""The report on a data set before training: what is counted, and what a person is told to check."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.cli import ftool
from tests.helpers.files import write_jsonl

from ftool.data.inspection.repeats import find_repeats
from ftool.data.inspection.text_facts import languages_of, scripts_of
from ftool.data.load import load_dataset
from ftool.inspect_data import inspect_data
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe

TOPICS = ("card", "loan", "rent")


def rows(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Texts with little in common, of three labels in turn."""
    words = ["alpha", "bravo", "castle", "delta", "engine", "forest", "garden", "harbour", "island", "jungle"]
    return [
        {"text": f"{words[i % 10]} {i * 7919} {words[i // 10 % 10]} {i * 104729}", "label": TOPICS[i % 3]}
        for i in range(start, start + count)
    ]


def report(folder: Path, task: str = "text-classification", **splits: list[dict[str, Any]]) -> Any:
    for name, some in splits.items():
        write_jsonl(folder / f"{name}.jsonl", some)
    return inspect_data(Recipe(task=task, data=DataSettings(path=str(folder))), tokens=False)


def usual(**more: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    parts = {"train": rows(60), "validation": rows(12, 60), "test": rows(12, 72)}
    return {name: part + more.get(name, []) for name, part in parts.items()}


def numbered(texts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row | {"label": 1 + position / 4} for position, row in enumerate(texts)]


LONG = "words " * 400
CASES: dict[str, tuple[dict[str, list[dict[str, Any]]], str]] = {
    "nearly a training text": (
        usual(
            train=[{"text": "How do I unblock my PIN, please?", "label": "card"}],
            test=[{"text": "how do i unblock my pin please", "label": "card"}],
        ),
        "texts nearly equal to a training text: 1 test; remove them, or the figures look better than they are",
    ),
    "nearly equal, other label": (
        usual(
            train=[
                {"text": "Someone stole my card!", "label": "card"},
                {"text": "someone stole my cards", "label": "loan"},
            ]
        ),
        "nearly equal texts with different labels: 1",
    ),
    "a training text": (
        usual(train=[{"text": "Pay rent", "label": "rent"}], test=[{"text": "pay  RENT", "label": "rent"}]),
        "1 of 13 texts are also in the training data",
    ),
    "one text, two labels": (
        usual(train=[{"text": "same words", "label": "card"}, {"text": "same words", "label": "loan"}]),
        "1 text with different labels in different rows",
    ),
    "copies": (
        usual(test=rows(1, 72) * 3),
        "texts that repeat others of their split: 3 of 15 test",
    ),
    "a rare label": (
        usual(train=[{"text": "quite another thing", "label": "odd"}]),
        "labels with fewer than 10 training examples, 1 of 4: odd (1)",
    ),
    "a label without test examples": (
        usual(train=[{"text": "quite another thing", "label": "odd"}]),
        "test: no example has 1 of the labels (odd); the test figures say nothing about this label",
    ),
    "look-alike labels": (
        usual(train=[{"text": "quite another thing", "label": "Card"}]),
        "labels that look alike are different labels: 'card' (28) and 'Card' (1)",
    ),
    "a number for a missing one": (
        {name: numbered(part) for name, part in usual().items()}
        | {"test": [{"text": "no number", "label": -999.0}]},
        "numbers far from all others: test row 1 (-999)",
    ),
    "a very long text": (
        usual(train=[{"text": LONG, "label": "card"}]),
        "very long texts: train row 61 (2,400 characters)",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_should_be_checked_is_told(tmp_path: Path, case: str) -> None:
    splits, expected = CASES[case]
    checks = report(tmp_path, **splits).checks()
    assert any(expected in check for check in checks), checks


def test_clean_data_has_nothing_to_check(tmp_path: Path) -> None:
    found = report(tmp_path, **usual())
    assert found.checks() == []
    assert "Nothing to check." in found.text()
    assert found.text().count("examples: 60 train, 12 validation, 12 test") == 1


def test_ranges_of_numbers_are_told(tmp_path: Path) -> None:
    found = report(tmp_path, **{name: numbered(part) for name, part in usual().items()})
    assert found.to_json()["numbers"]["number"]["highest"] == 15.75
    assert found.checks() == []
    (line,) = (line for line in found.text().splitlines() if line.startswith("number"))
    assert line.split() == ["number", "1", "1.25", "5.375", "14.7125", "15.75"]


def test_equal_and_nearly_equal_texts_are_counted_apart(tmp_path: Path) -> None:
    twice = [{"text": "one and the same text", "label": "card"}] * 2
    near = [{"text": "one and the same text.", "label": "card"}]
    found = report(tmp_path, **usual(train=twice + near, test=twice[:1]))
    assert dict(found.exact.within) == {"train": 1}
    assert dict(found.exact.trained) == {"test": 1}
    assert dict(found.near.within) == {"train": 1}
    assert dict(found.near.trained) == {}
    told = found.to_json()["near_duplicates"]["shown"][0]
    assert told["first"] == {"split": "train", "row": 61, "text": twice[0]["text"], "answer": "card"}


@pytest.mark.parametrize(
    ("task", "row", "texts"),
    [
        ("summarization", lambda i: {"source": f"story {i} " * 5, "target": f"gist {i}"}, {"source", "target"}),
        (
            "text-generation",
            lambda i: {"prompt": f"question {i}?", "answer": f"answer {i}"},
            {"conversation", "target"},
        ),
        (
            "question-answering",
            lambda i: {"question": f"who {i}?", "context": f"Ann {i}.", "answers": ["Ann"], "answer_start": [0]},
            {"question", "context"},
        ),
        ("token-classification", lambda i: {"tokens": ["Ann", f"x{i}"], "tags": ["B-PER", "O"]}, {"text"}),
        ("feature-extraction", lambda i: {"anchor": f"query {i}", "positive": f"passage {i}"}, {"anchor", "positive"}),
        (
            "text-classification",
            lambda i: {"sentence1": f"a {i}", "sentence2": f"b {i}", "score": i / 7},
            {"text", "text_pair"},
        ),
    ],
)  # fmt: skip
def test_every_task_names_its_texts(
    tmp_path: Path, task: str, row: Callable[[int], dict[str, Any]], texts: set[str]
) -> None:
    found = report(tmp_path, task, train=[row(number) for number in range(60)])
    assert set(found.characters) == texts
    assert sum(found.examples.values()) == 60
    json.dumps(found.to_json(), allow_nan=False)
    assert found.text()


def test_scripts_and_languages_are_counted() -> None:
    assert scripts_of(["good day", "добрый день", "привет всем", "123"]) == {
        "cyrillic": 2,
        "latin": 1,
        "none": 1,
    }
    german = "Das ist ein ganz gewöhnlicher deutscher Satz über das Wetter."
    assert list(languages_of([german, "too short"])) == ["de"]


def test_only_some_of_very_many_texts_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of the small splits are, because texts that were trained on make their figures too good."""
    monkeypatch.setattr("ftool.data.inspection.repeats._MOST_TEXTS", 30)
    for name, part in usual().items():
        write_jsonl(tmp_path / f"{name}.jsonl", part)
    recipe = Recipe(data=DataSettings(path=str(tmp_path)))
    _, near = find_repeats(load_dataset(recipe.row.reader, recipe.data).splits, shown=3)
    assert near.looked_at == 30


def test_the_command_prints_once_what_was_understood(tmp_path: Path, tiny_base: Path) -> None:
    for name, part in usual(test=rows(1)).items():
        write_jsonl(tmp_path / f"{name}.jsonl", part)
    result = ftool("data", str(tmp_path), "--base", str(tiny_base), "--set", "train.max_length=5")
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    assert result.stdout.count("also in the training data") == 1
    assert "text, tokens" in result.stdout
    assert "inputs of more than 5 tokens (train.max_length) will be cut: 60 of 60 train" in result.stdout
    told = json.loads(ftool("data", str(tmp_path), "--json").stdout)
    assert told["examples"] == {"train": 60, "validation": 12, "test": 13}
    assert told["labels"]["card"] == {"train": 20, "validation": 4, "test": 5}
    assert told["limit"] is None
    assert told["duplicates"]["also_in_training"] == {"test": 1}


def test_a_model_folder_shows_its_own_data(tmp_path: Path, tiny_base: Path) -> None:
    (tmp_path / "data").mkdir()
    for name, part in usual(test=rows(1)).items():
        write_jsonl(tmp_path / "data" / f"{name}.jsonl", part)
    made = ftool("new", str(tmp_path / "m"), "--data", str(tmp_path / "data"), "--base", str(tiny_base))
    assert made.exit_code == 0, made.stderr
    assert f"To check (`ftool data {tmp_path / 'm'}` shows examples):" in made.stdout
    assert made.stdout.count("also in the training data") == 1
    assert "also in the training data" not in made.stderr
    shown = ftool("data", str(tmp_path / "m"))
    assert "text, tokens" in shown.stdout


def test_data_that_is_named_twice_is_refused(tmp_path: Path) -> None:
    result = ftool("data", "a.csv", "--data", "b.csv")
    assert result.exit_code == 2
    assert "the data is named twice, a.csv and --data b.csv; name it once" in result.stderr


def test_entities_are_counted_by_their_kind_and_not_by_tags(tmp_path: Path) -> None:
    rows = [{"text": f"call Ann {n} now", "entities": [[5, 8, "person"]]} for n in range(40)]
    write_jsonl(tmp_path / "names.jsonl", rows)
    found = inspect_data(
        Recipe(task="token-classification", data=DataSettings(path=str(tmp_path / "names.jsonl"))),
        tokens=False,
    )
    assert list(found.to_json()["labels"]) == ["person"]
    assert found.rare == {}
    assert not [line for line in found.text().splitlines() if "B-person" in line]
