"""Tiny models of the toolchain's tasks, trained and exported once for all pytest-xdist workers."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.helpers.cli import told
from tests.helpers.shared import BuiltOnce


@dataclass(frozen=True, kw_only=True)
class TinyModel:
    """How the tiny model of a task is trained and exported.

    Attributes:
        data: the name of the fixture that writes the model's data.
        base: a name of a base model that ftool knows; None for the fixture `tiny_base`.
        recipe: changes to the default recipe.
        learnt: a metric of the test split, and a value that the metric exceeds after training.
        max_drop: the largest loss of quality that the gate allows the int8 bundle.
    """

    data: str
    base: str | None = None
    recipe: Mapping[str, object] = field(default_factory=dict)
    learnt: tuple[str, float]
    max_drop: float = 0.2


TINY_MODELS = {
    "text-classification": TinyModel(
        data="topics", recipe={"train.method": "head"}, learnt=("accuracy", 0.6)
    ),
    "question-answering": TinyModel(
        data="questions",
        recipe={
            "train.epochs": 6,
            "train.learning_rate": 3e-3,
            "train.batch_size": 16,
            "train.max_length": 24,
            "train.stride": 6,
            "train.max_answer_length": 4,
        },
        learnt=("f1", 0.8),
    ),
    "feature-extraction": TinyModel(
        data="searches",
        recipe={
            "train.epochs": 4,
            "train.learning_rate": 5e-3,
            "train.batch_size": 16,
            "data.query_prompt": '"tell me "',
        },
        learnt=("mrr_at_10", 0),
        max_drop=0.5,
    ),
    "text-ranking": TinyModel(
        data="judged",
        recipe={"train.epochs": 4, "train.learning_rate": 5e-3, "train.batch_size": 16},
        learnt=("mrr_at_10", 0.8),
        max_drop=0.5,
    ),
    # number words to numerals, mostly
    "translation": TinyModel(
        data="numbers",
        base="scratch:t5-tiny",
        recipe={
            "train.epochs": 24,
            "train.batch_size": 16,
            "train.learning_rate": 3e-3,
            "train.vocabulary_size": 400,
            "train.max_length": 32,
            "train.max_target_length": 16,
            "train.evaluation_examples": 8,
            "train.evaluations_per_epoch": 1,
            "train.early_stopping_patience": 0,
            "train.dropout": 0.0,
            "train.metric": "token_accuracy",
            "generation.num_beams": 2,
            "generation.no_repeat_ngram_size": 5,
        },
        learnt=("token_accuracy", 0.5),  # chance, which knows how often each numeral comes, has about 0.3
    ),
}


class TinyModels:
    """Model folders by task, made on first use. A test that changes a folder copies it first."""

    def __init__(self, made_once: BuiltOnce, fixture: Callable[[str], Path], *, exported: bool) -> None:
        self._made_once = made_once
        self._fixture = fixture
        self._exported = exported

    def __getitem__(self, task: str) -> Path:
        if not self._exported:
            return self._made_once(f"trained/{task}", lambda folder: self._train(task, folder))
        run = TinyModels(self._made_once, self._fixture, exported=False)[task]
        return self._made_once(f"exported/{task}", lambda folder: self._export(task, run, folder))

    def _train(self, task: str, folder: Path) -> None:
        row = TINY_MODELS[task]
        changes = {"train.threads": 1, **row.recipe}
        flags = [part for name, value in changes.items() for part in ("--set", f"{name}={value}")]
        base = row.base or self._fixture("tiny_base")
        told("new", folder, "--task", task, "--base", base, "--data", self._fixture(row.data), *flags)
        metric, least = row.learnt
        assert told("train", folder)["metrics"][metric] > least

    @staticmethod
    def _export(task: str, run: Path, folder: Path) -> None:
        shutil.copytree(run, folder, dirs_exist_ok=True)
        exported = told("export", folder, "--max-drop", TINY_MODELS[task].max_drop)
        assert exported["gate"]["metric"] == TINY_MODELS[task].learnt[0]
        assert (exported["precision"], exported["attention"]) == ("int8", "fused")
