"""Measuring a trained model, as torch runs it or as its bundle does, on held-out data."""

from pathlib import Path
from typing import Literal

from ftool.model_folder import ModelFolder
from ftool.recipe import DataSettings, Recipe
from ftool.results import Evaluation
from ftool.tasks import get_task


def evaluate(
    folder: Path,
    *,
    on: Literal["run", "bundle"] = "run",
    data: DataSettings | None = None,
    split: str = "test",
) -> Evaluation:
    """The metrics of a model folder's run/ or bundle/ on a split of `data`, or of its recipe's data.

    Raises FtoolError where the recipe, the model or the data is missing or does not fit.
    """
    recipe = Recipe.read(ModelFolder(folder).recipe)
    return get_task(recipe.task).evaluate(recipe, folder, on=on, data=data, split=split)
