"""The tasks that ftool trains for, by the names that Hugging Face gives them."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ftool.evaluation.results import Evaluation, TrainReport
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.tasks.table import find_task

if TYPE_CHECKING:
    from ftool_export.checkpoints.encoder import LoadedEncoder
    from ftool_export.examples.base import Examples


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
    """The functions of the task called `name`. Raises InputError, which suggests the nearest name."""
    module: Any = importlib.import_module(find_task(name).implementation)
    task: Task = module
    return task


def get_encoder_task(name: str) -> EncoderTask:
    """The task of that name, which must be one of an encoder. Raises InputError as `get_task`."""
    task: Any = get_task(name)
    encoder_task: EncoderTask = task
    return encoder_task
