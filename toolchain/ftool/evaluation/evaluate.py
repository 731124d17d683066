"""Measure a trained model on held-out data: either the checkpoint in run/ with PyTorch or the bundle in the runtime."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import ftool_runtime
from ftool.data.dataset import fingerprint
from ftool.data.load import load_dataset, split_for_model
from ftool.evaluation.baselines import BaselineReport
from ftool.evaluation.mistakes import Mistakes
from ftool.evaluation.open_model import OpenModel, open_bundle, open_run
from ftool.evaluation.results import Evaluation
from ftool.evaluation.slices import SliceSettings, slice_report
from ftool.evaluation.statistics import with_main
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.tasks.base import Task
from ftool.training.hardware import device_name
from ftool.workspace import METRICS_FILE, ModelFolder, form_checked, read_metrics
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.paths import TOKENIZER_FILE
from ftool_runtime.errors import InputError
from ftool_runtime.session.onnx_session import Device
from ftool_runtime.text.encode import read_tokenizer


def evaluate(
    folder: Path,
    recipe: Recipe | None = None,
    *,
    on: Literal["run", "bundle"] = "run",
    data: DataSettings | None = None,
    split: str = "test",
    by: Sequence[str] = (),
    slicing: SliceSettings | None = None,
    mistakes: bool = False,
) -> Evaluation:
    """Measure a model folder's run/ or bundle/ on a split of `data`, or of the recipe's data if `data` is None.

    `recipe` is used instead of the recipe in the folder, unless it is None.

    `by` names columns of the data; metrics are also reported separately for each value of these columns. `mistakes`
    adds the model's mistakes and, unless `data` is given, the labels of the recipe's data that are likely wrong. Raises
    FtoolError if the recipe, the model, the data or a column in `by` is missing or does not fit, or if a file of the
    bundle was altered.
    """
    recipe = recipe or Recipe.read(ModelFolder(folder).recipe)
    report = evaluate_recipe(recipe, folder, on=on, data=data, split=split)
    if mistakes:
        report = replace(report, mistakes=_mistakes(recipe, report, own=data is None))
    return _sliced(report, by, slicing) if by else report


def evaluate_recipe(
    recipe: Recipe, folder: Path, *, on: Literal["run", "bundle"], data: DataSettings | None, split: str
) -> Evaluation:
    """Measure a model folder's run/ or bundle/ on a split of `data`, or of this recipe's data if `data` is None.

    `recipe` is used instead of the recipe in the folder. Raises FtoolError for the same reasons as `evaluate`.
    """
    row = recipe.row
    with open_model(ModelFolder(folder), row, on) as model:
        examples = split_for_model(row.reader, recipe.data, data, split, model.known)
        fitted, _ = row.fit(model, examples, split, recipe)
        report = measure_split(row, model, fitted, split, recipe)
    return replace(report, baselines=stored_baselines(ModelFolder(folder).run, report, fitted))


def stored_baselines(run: Path, report: Evaluation, fitted: Any) -> BaselineReport | None:
    """Return the baselines that training measured on the examples of `fitted`, beside the model of `report`.

    None if training measured none, or measured them on other examples.
    """
    stored = read_metrics(run).get("baselines")
    if stored is None or report.statistics is None:
        return None
    with form_checked(run / METRICS_FILE):
        if stored["examples_sha256"] != fingerprint(fitted.examples):
            return None
        return BaselineReport.from_json(stored, report.statistics())


@contextmanager
def open_model(folder: ModelFolder, row: Task, on: Literal["run", "bundle"]) -> Iterator[OpenModel]:
    """Open a model folder's run/ or bundle/. Before a bundle is opened, the hashes of its files are checked.

    Raises FtoolError if run/ or bundle/ is missing or can't be loaded, or if a file of the bundle was altered.
    """
    if on == "run":
        loaded = row.load(folder.require_run())
        loaded.model.to(device_name())
        yield open_run(loaded, row.answering(loaded))
        return
    folder.check_bundle()
    with opened_bundle(folder.require_bundle(), cache(lambda: row.load(folder.require_origin()))) as model:
        yield model


@contextmanager
def opened_bundle(
    bundle: Path, reference: Callable[[], Any], *, device: Device = "cpu"
) -> Iterator[OpenModel]:
    """Open a bundle in the runtime on `device`; `reference` loads and returns the checkpoint that it was made from.

    Raises BundleError if the bundle can't be loaded, and DeviceError if the device is not available.
    """
    tokenizer = read_tokenizer(bundle / TOKENIZER_FILE)
    with ftool_runtime.load(bundle, device=device, profile="throughput") as model:
        yield open_bundle(model, Manifest.read(bundle), tokenizer, reference)


def measure_split(
    row: Task, model: OpenModel, split: Any, name: str, recipe: Recipe | None = None, numbers: Any = None
) -> Evaluation:
    """Measure an open model on a split that was prepared by `row.fit`; `name` is the split's name.

    `recipe` names the main metric; None stands for the task's own. `numbers`, from `row.cross_fit`, replace the model's
    own in the statistics; None keeps these.
    """
    measured = row.measure(model, split) if numbers is None else row.measure(model, split, numbers)
    main = None if recipe is None else row.main_metric(model.facts, split, recipe)
    of_examples, of_mistakes, of_wrong = measured.statistics, measured.mistakes, measured.wrong
    return Evaluation(
        task=row.name,
        on=model.on,
        split=name,
        examples=len(split),
        metrics=measured.metrics,
        shown=measured.shown,
        statistics=None if of_examples is None else cache(lambda: with_main(of_examples(), main)),
        token_statistics=measured.token_statistics,
        further_intervals=measured.intervals,
        predictions=measured.predictions,
        find_mistakes=None if of_mistakes is None else lambda: of_mistakes(name, main),
        find_wrong=None if of_wrong is None else lambda: of_wrong(name),
        reliability=measured.reliability,
        thresholds=measured.thresholds,
        rows=split.table,
    )


def _mistakes(recipe: Recipe, report: Evaluation, *, own: bool) -> Mistakes:
    """Return the mistakes of the report's model; `own` says whether the labels of the recipe's data are checked too."""
    if report.find_mistakes is None or recipe.row.label_errors is None:
        raise InputError(
            "--mistakes needs a model that gives labels, such as a classifier or a tagger; this one answers with "
            "numbers (--predictions FILE writes each number beside the right one)"
        )
    found = report.find_mistakes()
    if not own:
        return found
    data = load_dataset(recipe.row.reader, recipe.data, quiet=True)
    return replace(found, label_errors=recipe.row.label_errors(data, recipe))


def _sliced(report: Evaluation, by: Sequence[str], slicing: SliceSettings | None) -> Evaluation:
    if report.statistics is None:
        raise InputError(f"{report.task} has no metrics by slice; leave --by out")
    statistics = report.statistics()
    slices = tuple(slice_report(statistics, report.rows, name, slicing) for name in dict.fromkeys(by))
    return replace(report, slices=slices)
