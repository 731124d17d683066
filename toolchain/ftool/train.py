"""Train the model of a recipe into its model folder."""

from pathlib import Path

from ftool.evaluation.results import TrainReport
from ftool.recipe.recipe import Recipe
from ftool.tasks.work import get_task


def train(recipe: Recipe, folder: Path, *, resume: bool = False) -> TrainReport:
    """Train the model of `folder` as `recipe` says; run/ is replaced once the new one is whole.

    `resume` goes on with a run that was cut off, to the same result as an unbroken one. Raises FtoolError.
    """
    return get_task(recipe.task).train(recipe, folder, resume=resume)
