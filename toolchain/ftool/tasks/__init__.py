"""The tasks that ftool trains for, by the names that Hugging Face gives them."""

import difflib
import importlib
from pathlib import Path
from typing import Any, Literal, Protocol

from ftool.recipe import DataSettings, Recipe
from ftool.results import Evaluation, TrainReport
from ftool_runtime.errors import InputError

# A task is a module with the functions of `Task`; it is imported when it is asked for.
TASKS = {
    "text-classification": "ftool.tasks.text_classification",
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


def get_task(name: str) -> Task:
    """The task of that name. Raises InputError naming the nearest for one that there is not."""
    if name not in TASKS:
        near = difflib.get_close_matches(name, TASKS, n=1)
        remedy = f"did you mean {near[0]}?" if near else f"there are {', '.join(TASKS)}"
        raise InputError(f"no task {name!r}; {remedy}")
    module: Any = importlib.import_module(TASKS[name])
    task: Task = module
    return task
