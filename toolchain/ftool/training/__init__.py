"""Training: the frozen encoder's features, the task network on them, and fine-tuning from there."""

from pathlib import Path

from ftool.recipe import Recipe
from ftool.results import TrainReport
from ftool.tasks import get_task

from .errors import TrainingError

__all__ = ["TrainReport", "TrainingError", "train"]


def train(recipe: Recipe, folder: Path, *, resume: bool = False) -> TrainReport:
    """Train the model of `folder` as `recipe` says; run/ is replaced once the new one is whole.

    `resume` goes on with a run that was cut off, to the same result as an unbroken one. Raises FtoolError.
    """
    return get_task(recipe.task).train(recipe, folder, resume=resume)
