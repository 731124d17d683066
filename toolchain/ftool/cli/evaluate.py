"""`ftool evaluate`: compute the task's metrics of run/ or bundle/."""

from pathlib import Path
from typing import Any, Literal

import click
from click.core import ParameterSource

from ftool.cli.next_steps import SAMPLE, after_training, command, next_step
from ftool.cli.options import data_options, echo_report, folder_argument, json_option, split_option
from ftool.recipe.flags import DataFlags
from ftool.recipe.recipe import Recipe
from ftool.workspace import ModelFolder
from ftool_runtime.errors import InputError


@click.command()
@folder_argument
@click.option(
    "--on", type=click.Choice(["run", "bundle"]), default="run", show_default=True, help="What to measure."
)
@split_option
@click.option(
    "--by",
    metavar="COLUMN",
    multiple=True,
    help="Also report every metric for each value of this column, with intervals and the widest gap; can be repeated.",
)
@click.option(
    "--min-examples",
    type=click.IntRange(min=1),
    default=30,
    show_default=True,
    help="With --by: values with fewer examples are listed but not ranked.",
)
@click.option(
    "--suite",
    type=click.Choice(["hatecheck", "bbq"]),
    help="Measure bias with a published test suite instead; --data is its file or folder.",
)
@click.option(
    "--hateful",
    metavar="LABEL",
    multiple=True,
    help="With --suite hatecheck: a label of the model that means hateful; can be repeated.",
)
@click.option(
    "--option-label",
    metavar="LABEL",
    help="With --suite bbq on a classifier of pairs: the label that means that an option answers the question.",
)
@click.option(
    "--always-answer",
    is_flag=True,
    help="With --suite bbq on a reader: take its best span even if it would say that there is no answer.",
)
@click.option(
    "--predictions",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the model's answer and the correct answer for each example, one JSON object per line.",
)
@click.option(
    "--mistakes",
    is_flag=True,
    help="Also list the costliest confusions, the surest mistakes, and labels of the recipe's data that are likely "
    "wrong.",
)
@data_options
@json_option
def evaluate(
    folder: Path,
    on: Literal["run", "bundle"],
    split: str,
    by: tuple[str, ...],
    min_examples: int,
    suite: str | None,
    hateful: tuple[str, ...],
    option_label: str | None,
    always_answer: bool,
    predictions: Path | None,
    mistakes: bool,
    data: DataFlags,
    as_json: bool,
) -> None:
    """Measure the checkpoint or the bundle, on the recipe's data or on the data that --data names.

    What was measured is kept in reports/evaluations/ of the model folder, for `ftool report`.
    """
    from ftool.evaluation.records import keep_evaluation
    from ftool.evaluation.slices import SliceSettings

    slicing, source = SliceSettings(min_examples=min_examples), None
    if predictions is not None:
        _refuse_predictions(folder, predictions, suite)
    if mistakes:
        _refuse_mistakes(folder, suite)
    then = ""
    if suite is None:
        _refuse_suite_flags(hateful=hateful, option_label=option_label, always_answer=always_answer)
        if _given("min_examples") and not by:
            raise InputError("--min-examples applies to slices; name a column with --by, or leave it out")
        from ftool.evaluation import evaluate as evaluation

        recipe = Recipe.read(ModelFolder(folder).recipe)
        source = None if data == DataFlags() else data.apply(recipe.data)
        report = evaluation.evaluate(
            folder, recipe, on=on, data=source, split=split, by=by, slicing=slicing, mistakes=mistakes
        )
        if on == "run":
            then = after_training(folder, recipe.row, mistakes=not mistakes)
        else:
            then = next_step(command("parity", folder), command("predict", folder, SAMPLE))
    else:
        report = _evaluate_suite(
            folder, on, data,
            name=suite, by=by, hateful=hateful, option_label=option_label, always_answer=always_answer, slicing=slicing,
        )  # fmt: skip
    if predictions is not None:
        _write_predictions(report, predictions)
    echo_report(report.to_json, report.table, as_json=as_json, then=then)
    keep_evaluation(ModelFolder(folder), report, None if source is None else data.path)


def _evaluate_suite(
    folder: Path,
    on: Literal["run", "bundle"],
    data: DataFlags,
    *,
    name: str,
    by: tuple[str, ...],
    **settings: Any,
) -> Any:
    """Return the evaluation on the bias suite `name`, whose cases are at the path --data.

    Raises InputError if --data is missing, or if any other flag about data, --split or --by was given.
    """
    from ftool.evaluation.bias.suites import SuiteSettings, evaluate_suite

    if _given("split"):
        raise InputError(f"--split is for data; --suite {name} uses all its cases, so leave it out")
    if by or data.path is None or data != DataFlags(path=data.path):
        raise InputError(
            f"--suite {name} needs its cases in --data PATH, and takes no other data flags and no --by"
        )
    return evaluate_suite(folder, on=on, suite=SuiteSettings(name=name, path=Path(data.path), **settings))


def _refuse_suite_flags(**flags: object) -> None:
    """Raise InputError for any of `flags` that was given: these flags need --suite, which is missing."""
    for name, value in flags.items():
        if value:
            flag = f"--{name.replace('_', '-')}"
            raise InputError(f"{flag} is for bias suites; name one with --suite, or leave it out")


def _given(name: str) -> bool:
    """Return whether the option `name` was given on the command line, even with its default value."""
    return click.get_current_context().get_parameter_source(name) is not ParameterSource.DEFAULT


def _refuse_predictions(folder: Path, path: Path, suite: str | None) -> None:
    """Raise InputError if predictions can't be written to `path`; called before the model is measured."""
    from ftool.tasks.base import listed
    from ftool.tasks.registry import find_task, task_names

    if suite is not None:
        raise InputError(f"--predictions can't be used with --suite {suite}; leave one of them out")
    row = Recipe.read(ModelFolder(folder).recipe).row
    if not row.predicts:
        fitting = listed(tuple(name for name in task_names() if find_task(name).predicts))
        raise InputError(f"--predictions is for {fitting}; the task of this model is {row.name}")
    if not path.absolute().parent.is_dir():
        raise InputError(f"--predictions {path}: folder {path.parent} does not exist; create it first")


def _refuse_mistakes(folder: Path, suite: str | None) -> None:
    """Raise InputError if there is no report on mistakes for the model's task, or for the suite."""
    from ftool.tasks.base import listed
    from ftool.tasks.registry import find_task, task_names

    if suite is not None:
        raise InputError(f"--mistakes can't be used with --suite {suite}; leave one of them out")
    row = Recipe.read(ModelFolder(folder).recipe).row
    if row.label_errors is None:
        fitting = listed(tuple(name for name in task_names() if find_task(name).label_errors is not None))
        other = "; --predictions FILE writes its answers one by one" if row.predicts else ""
        raise InputError(f"--mistakes is for {fitting}; the task of this model is {row.name}{other}")


def _write_predictions(report: Any, path: Path) -> None:
    """Write the report's predictions to the file `path`, as a whole or not at all."""

    from ftool_runtime.atomic import replacing
    from ftool_runtime.text.printable import json_text

    if report.predictions is None:
        raise InputError(
            f"--predictions {path}: these examples have no answers to write, as plain texts are continued; leave it out"
        )
    try:
        with replacing(path) as file:
            file.writelines(json_text(one) + "\n" for one in report.predictions())
    except OSError as error:
        raise InputError(f"--predictions {path}: can't be written: {error.strerror}") from error
