"""The tasks that ftool trains for, by the names that Hugging Face gives them."""

import difflib
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ftool.evaluation.results import Evaluation, TrainReport
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.settings import Recipe
from ftool_runtime.errors import InputError

if TYPE_CHECKING:
    from ftool_export.checkpoints.encoder import LoadedEncoder
    from ftool_export.examples.base import Examples

# A task is a module with the functions of `Task`; it is imported when it is asked for.
TASKS = {
    "text-classification": "ftool.tasks.classification",
    "token-classification": "ftool.tasks.tagging",
    "question-answering": "ftool.tasks.question_answering",
    "feature-extraction": "ftool.tasks.embedding",
    "summarization": "ftool.tasks.generation",
    "translation": "ftool.tasks.generation",
    "text-generation": "ftool.tasks.generation",
}


class Task(Protocol):
    """What a task's module provides."""

    def train(self, recipe: Recipe, folder: Path, *, resume: bool) -> TrainReport:
        """Train as `recipe` says, into the model folder's run/."""

    def evaluate(
        self,
        recipe: Recipe,
        folder: Path,
        *,
        on: Literal["run", "bundle"],
        data: DataSettings | None,
        split: str,
    ) -> Evaluation:
        """Measure the model folder's checkpoint or bundle on a split of `data`, or of the recipe's own."""


class EncoderTask(Task, Protocol):
    """What the module of a task provides besides whose graph is one encoder."""

    def load(self, checkpoint: str | Path) -> "LoadedEncoder":
        """The checkpoint in run/, a folder, or a hub id. Raises CheckpointError."""

    def recipe_examples(self, recipe: Recipe, loaded: Any, split: str) -> "Examples":
        """A split of the recipe's data, with the metric that decides. Raises DataError."""

    def data_examples(self, settings: DataSettings, loaded: Any, split: str) -> "Examples":
        """A split of other data, or its only one, likewise."""

    def sample_examples(self, loaded: Any) -> "Examples":
        """Some inputs without labels, where no data was named."""

    def inputs(self, recipe: Recipe, split: str) -> Sequence[Any]:
        """What the model is called with for a split of the recipe's data: what it is timed on. Raises DataError."""


def get_task(name: str) -> Task:
    """The task of that name. Raises InputError naming the nearest for one that there is not."""
    if name not in TASKS:
        near = difflib.get_close_matches(name, TASKS, n=1)
        remedy = f"did you mean {near[0]}?" if near else f"there are {', '.join(TASKS)}"
        raise InputError(f"no task {name!r}; {remedy}")
    module: Any = importlib.import_module(TASKS[name])
    task: Task = module
    return task


def get_encoder_task(name: str) -> EncoderTask:
    """The task of that name, which must be one of an encoder. Raises InputError as `get_task`."""
    task: Any = get_task(name)
    encoder_task: EncoderTask = task
    return encoder_task
