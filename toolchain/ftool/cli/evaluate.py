"""`ftool evaluate`: the task's metrics of run/ or bundle/."""

from pathlib import Path
from typing import Literal

import click

from ftool.model_folder import ModelFolder
from ftool.recipe import Recipe

from .flags import DataFlags
from .options import data_options, echo_json, folder_argument, json_option, split_option


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
    help="Report every metric by the values of this column too, with intervals and the widest gap; can be repeated.",
)
@click.option(
    "--min-examples",
    type=click.IntRange(min=1),
    default=30,
    show_default=True,
    help="With --by: values of fewer examples are named, not ranked.",
)
@data_options
@json_option
def evaluate(
    folder: Path,
    on: Literal["run", "bundle"],
    split: str,
    by: tuple[str, ...],
    min_examples: int,
    data: DataFlags,
    as_json: bool,
) -> None:
    """Measure the checkpoint or the bundle, on the recipe's own data or on --data."""
    settings = None if data == DataFlags() else data.apply(Recipe.read(ModelFolder(folder).recipe).data)
    from ftool import evaluation
    from ftool.slices import SliceSettings

    slicing = SliceSettings(min_examples=min_examples)
    report = evaluation.evaluate(folder, on=on, data=settings, split=split, by=by, slicing=slicing)
    if as_json:
        echo_json(report.to_json())
    else:
        click.echo(report.table())
