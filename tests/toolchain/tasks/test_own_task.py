"""A user's own task, defined by a file for the toolchain and a file for the runtime, works in all commands."""

import csv
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.helpers import votes_model, votes_row
from tests.helpers.cli import ftool, told

import ftool_runtime as ft
from ftool.tasks import registry
from ftool_runtime import loading
from ftool_runtime.errors import InputError

NAMES = ("rain", "song", "soup")
FILLERS = ("the", "a", "please", "tell", "me", "about", "some", "more")


@pytest.fixture
def own_task() -> Iterator[None]:
    """The task's two rows, registered for one test."""
    registry.register(votes_row.TASK)
    loading.register(votes_model.VoteGuesser)
    yield
    registry.unregister(votes_row.TASK)
    loading.unregister(votes_model.VoteGuesser)


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """Texts with votes for the words that are in them."""
    path, rng = tmp_path / "texts.csv", random.Random(0)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", *NAMES])
        seen: set[str] = set()
        while len(seen) < 240:
            words = [*rng.sample(NAMES, rng.randint(1, 2)), *rng.sample(FILLERS, rng.randint(1, 4))]
            rng.shuffle(words)
            text = " ".join(words)
            if text not in seen:
                seen.add(text)
                writer.writerow([text, *(int(name in words) for name in NAMES)])
    return path


@pytest.mark.usefixtures("own_task")
def test_a_task_of_two_files_goes_the_whole_way(tiny_base: Path, texts: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    data = (
        "--task",
        "vote-guessing",
        "--base",
        tiny_base,
        "--data",
        texts,
        "--label-column",
        ",".join(NAMES),
    )
    settings = (
        "--set",
        "train.epochs=10",
        "--set",
        "train.batch_size=8",
        "--set",
        "train.learning_rate=4e-3",
        "--set",
        "train.early_stopping_patience=0",
        "--set",
        "train.threads=1",
    )
    new = told("new", model, *data, *settings, "--set", "export.precision=fp32")
    assert new["data"]["train"] > 150
    trained = told("train", model)
    assert trained["metrics"]["overlap"] > 0.6  # equal shares have 0.5
    exported = told("export", model)
    assert exported["gate"]["passed"]
    assert told("parity", model)["passed"]
    on_bundle = told("evaluate", model, "--on", "bundle")
    assert on_bundle["metrics"]["overlap"] == pytest.approx(trained["metrics"]["overlap"], abs=1e-3)
    answer = json.loads(ftool("predict", model, "please tell me about soup").stdout)
    assert list(answer["shares"]) == list(NAMES)
    assert max(answer["shares"], key=answer["shares"].get) == "soup"
    with ft.load(model / "bundle") as loaded:
        assert isinstance(loaded, votes_model.VoteGuesser)


def test_each_side_is_one_short_file() -> None:
    for module in (votes_row, votes_model):
        assert len(Path(module.__file__).read_text(encoding="utf-8").splitlines()) <= 150


def test_a_name_that_is_taken_is_refused() -> None:
    with pytest.raises(InputError, match="a task 'translation' already exists"):
        registry.register(replace(votes_row.TASK, name="translation"))
