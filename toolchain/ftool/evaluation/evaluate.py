"""Measuring a trained model, as torch runs it or as its bundle does, on held-out data."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from ftool.evaluation.results import Evaluation
from ftool.evaluation.slices import SliceSettings, slice_report
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.tasks.work import get_task
from ftool.workspace import ModelFolder
from ftool_runtime.errors import InputError

PREDICTION_TASKS = ("question-answering", "token-classification")  # whose evaluations have `predictions`


def evaluate(
    folder: Path,
    *,
    on: Literal["run", "bundle"] = "run",
    data: DataSettings | None = None,
    split: str = "test",
    by: Sequence[str] = (),
    slicing: SliceSettings | None = None,
) -> Evaluation:
    """The metrics of a model folder's run/ or bundle/ on a split of `data`, or of its recipe's data.

    `by` names columns of the data by whose values the metrics are reported as well. Raises FtoolError where the
    recipe, the model, the data or such a column is missing or does not fit.
    """
    recipe = Recipe.read(ModelFolder(folder).recipe)
    if on == "bundle":
        ModelFolder(folder).check_bundle()
    report = get_task(recipe.task).evaluate(recipe, folder, on=on, data=data, split=split)
    return _sliced(report, by, slicing) if by else report


def _sliced(report: Evaluation, by: Sequence[str], slicing: SliceSettings | None) -> Evaluation:
    if report.statistics is None:
        raise InputError(f"the metrics of {report.task} can't be told by slice")
    statistics = report.statistics()
    slices = tuple(slice_report(statistics, report.rows, name, slicing) for name in dict.fromkeys(by))
    return replace(report, slices=slices)
