"""Train a model as its recipe describes, and save it in its model folder."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from ftool.bases import check_base
from ftool.data.dataset import Dataset
from ftool.data.load import load_dataset
from ftool.evaluation.baselines import BaselineReport, compare_with_baselines
from ftool.evaluation.evaluate import measure_split
from ftool.evaluation.open_model import OpenModel, open_run
from ftool.evaluation.records import keep_evaluation
from ftool.evaluation.results import Evaluation, TrainReport
from ftool.extras import require
from ftool.recipe.recipe import Recipe
from ftool.training.distillation import teacher_of
from ftool.training.hardware import device_name, is_main_process
from ftool.training.objective import finetune
from ftool.training.runs import (
    TRAIN,
    checkpointed,
    identity,
    keep_run,
    locked,
    prepare,
    training_summary,
    untrained_summary,
)
from ftool.workspace import ModelFolder

log = logging.getLogger(__name__)


def train(recipe: Recipe, folder: Path, *, resume: bool = False, brief: bool = False) -> TrainReport:
    """Train a model according to `recipe`, evaluate it, and replace `folder`'s run/ once the new run/ is complete.

    `resume` continues an interrupted run, with the same result as an uninterrupted one. `brief` replaces the notes and
    warnings about the data by one line, for data that `ftool new` has reported. Raises FtoolError if the training is
    impossible with the recipe, the data, the base model or the checkpoints of the interrupted run, or another command
    writes to the folder.
    """
    began = time.monotonic()
    row = recipe.row
    _require_extras(recipe)
    prepare(recipe)
    check_base(recipe.base, row)
    data = load_dataset(row.reader, recipe.data, quiet=brief)
    if brief:
        log.info("%s", _summary(data, recipe, folder))
    with locked(folder, TRAIN):
        return _train(recipe, folder, data, resume=resume, began=began)


def _train(recipe: Recipe, folder: Path, data: Dataset[Any], *, resume: bool, began: float) -> TrainReport:
    row = recipe.row
    loaded = replace(row.create(recipe, data), training_sha256=data.sha256, training_examples=len(data.train))
    loaded.model.to(device_name())
    splits, facts = _fitted(open_run(loaded, row.answering(loaded)), data, recipe)
    objective = row.objective(loaded, data, splits, recipe)
    teacher = teacher_of(row, recipe)
    if teacher is not None:
        objective.learn_from(teacher)
    first, tuned = objective.first_stage(), None
    if recipe.train.method != "head":
        fixed = identity(recipe, data, splits["validation"].examples, loaded.tokenizer, teacher)
        with checkpointed(folder, fixed, resume=resume) as (unfinished, resume_from):
            tuned = finetune(objective, folder=unfinished, resume_from=resume_from)
    loaded = objective.finish()
    training = partial(training_summary, first, tuned, initial_weights=objective.initial_weights)
    return _finished(recipe, folder, data, loaded, splits, facts, training, began)


def keep_untrained(recipe: Recipe, folder: Path, loaded: Any, *, origin: str) -> TrainReport:
    """Evaluate `loaded`, a model that is already trained, on the data of `recipe`, and save it as `folder`'s run/.

    `origin` names the model whose weights it has, for the report. Raises FtoolError if the data can't be read.
    """
    began = time.monotonic()
    row = recipe.row
    prepare(recipe)
    data = load_dataset(row.reader, recipe.data, quiet=True)
    loaded.model.to(device_name())
    splits, facts = _fitted(open_run(loaded, row.answering(loaded)), data, recipe)
    training = partial(untrained_summary, origin)
    with locked(folder, TRAIN):
        return _finished(recipe, folder, data, loaded, splits, facts, training, began)


def _finished(
    recipe: Recipe,
    folder: Path,
    data: Dataset[Any],
    loaded: Any,
    splits: Mapping[str, Any],
    facts: Mapping[str, Any],
    training: Callable[..., dict[str, Any]],
    began: float,
) -> TrainReport:
    """Evaluate a trained model, and save it with its report as `folder`'s run/.

    `training` describes the training for the report, given the number of examples and the seconds since `began`.
    """
    row = recipe.row
    model = open_run(loaded, row.answering(loaded))
    evaluations = {
        name: measure_split(row, model, split, name, recipe)
        for name, split in splits.items()
        if name != "train"
    }
    test = evaluations.pop("test")
    report = TrainReport(
        validation=evaluations.pop("validation"),
        test=replace(test, baselines=_baselines(recipe, data, splits["test"], test)),
        further=evaluations,
        training=training(examples=len(data.train), seconds=time.monotonic() - began),
        recipe=_described(recipe, {**row.lengths(loaded, recipe), **_metric(recipe, model, splits)}),
        data=_describe(data, splits, facts),
    )
    loaded.model.to("cpu")
    keep_run(folder, report, loaded.save)
    if is_main_process():
        for evaluation in (report.test, *report.further.values()):
            keep_evaluation(ModelFolder(folder), evaluation)
    return report


def _require_extras(recipe: Recipe) -> None:
    """Raise RuntimeMissingError, which names the extra to install, if the training needs one that is missing."""
    if recipe.row.extra is not None:
        require(recipe.row.extra)
    if recipe.train.method == "setfit":
        require("embed")


def _summary(data: Dataset[Any], recipe: Recipe, folder: Path) -> str:
    """Return one line that counts the examples, the labels and the warnings, and names the command that shows them."""
    counts = ", ".join(f"{len(split)} {name}" for name, split in data.splits.items())
    labels = f", {len(data.labels)} labels" if data.labels else ""
    outside = sum(len(split.outside) for split in data.splits.values())
    labels += f", {outside} more that none fits" if outside else ""
    number = len(data.warnings)
    warnings = f"; {number} warning{'s' * (number > 1)}" if number else ""
    return f"{recipe.data.path}: {counts} examples{labels}{warnings} (`ftool data {folder}` shows more)"


def _baselines(recipe: Recipe, data: Dataset[Any], fitted: Any, test: Evaluation) -> BaselineReport | None:
    """Compare the model with the task's baselines on the fitted test split; None if there is nothing to compare."""
    fit = recipe.row.baselines
    if fit is None or test.statistics is None or not is_main_process():
        return None
    reports = (
        "`ftool data`" if recipe.row.label_errors is None else "`ftool data` and `ftool evaluate --mistakes`"
    )
    next_step = f"mend what {reports} find, add examples, or try another --base"
    if recipe.train.method == "head":
        next_step = "train all weights with --set train.method=full, or try another base with --base"
    return compare_with_baselines(
        lambda: fit(data, fitted, recipe), test.statistics(), fitted.examples, next_step
    )


def _fitted(model: OpenModel, data: Dataset[Any], recipe: Recipe) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the splits in the form that the model reads, and facts for metrics.json, each with a value for each split.

    A fact whose name begins with "training_" has only the training split's value.
    """
    splits: dict[str, Any] = {}
    facts: dict[str, Any] = {}
    for name, split in data.splits.items():
        splits[name], found = recipe.row.fit(model, split, name, recipe, training=name == "train")
        for fact, value in found.items():
            if fact.startswith("training_"):  # of the training split only
                facts[fact] = value
            else:
                facts.setdefault(fact, {})[name] = value
    return splits, facts


def _metric(recipe: Recipe, model: OpenModel, splits: Mapping[str, Any]) -> dict[str, str]:
    """Return the metric that selected the weights, as train.metric; empty if the task has only one."""
    metric = recipe.row.main_metric(model.facts, splits["validation"], recipe) or recipe.train.metric
    return {} if metric is None else {"train.metric": str(metric)}


def _described(recipe: Recipe, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the recipe as plain JSON, with the values of `found` in place of the recipe's.

    `found` maps keys such as "train.max_length" to the values that the model has.
    """
    tables = asdict(recipe)
    for path, value in found.items():
        table, _, name = path.partition(".")
        tables[table][name] = value
    return tables


def _describe(data: Dataset[Any], splits: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description of the data as plain JSON for metrics.json."""
    return {
        "sha256": data.sha256,
        **data.facts,
        "examples": {name: len(split) for name, split in splits.items()},
        **facts,
        "notes": list(data.notes),
        "warnings": list(data.warnings),
    }
