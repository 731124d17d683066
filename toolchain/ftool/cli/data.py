"""`ftool data`: look at a data set before training."""

from dataclasses import replace
from pathlib import Path

import click

from ftool.cli.next_steps import command, next_step
from ftool.cli.options import echo_report, json_option, recipe_options
from ftool.recipe.flags import RecipeFlags
from ftool.recipe.recipe import Recipe
from ftool.workspace import ModelFolder
from ftool_runtime.errors import InputError


@click.command()
@click.argument("given", required=False, metavar="[DATA|FOLDER]")
@recipe_options
@json_option
def data(given: str | None, flags: RecipeFlags, as_json: bool) -> None:
    """Print what was understood of a data set, and what to check before training on it.

    DATA is what --data takes: a file, a folder, a hub data set id, or builtin:NAME. FOLDER is a model folder, the
    current one by default, whose recipe names the data. With --base, or in a model folder, lengths are compared with
    train.max_length.

    \b
    ftool data bank.csv
    ftool data bank.csv --base minilm --set train.max_length=64
    ftool data models/bank --json
    """
    recipe, folder = _recipe(given, flags)
    from ftool.inspect_data import inspect_data

    report = inspect_data(recipe, tokens=folder is not None or flags.base is not None)
    then = "" if folder is None else next_step(command("train", folder))
    echo_report(report.to_json, report.text, as_json=as_json, then=then)


def _recipe(given: str | None, flags: RecipeFlags) -> tuple[Recipe, Path | None]:
    """Return the recipe that the argument and the flags describe, and the model folder that has it, if any."""
    folder = Path(given or ".")
    if ModelFolder(folder).recipe.is_file():
        return flags.apply(Recipe.read(ModelFolder(folder).recipe)), folder
    if given is not None and flags.data.path is not None:
        raise InputError(f"the data is named twice, {given} and --data {flags.data.path}; name it once")
    if given is not None:
        flags = replace(flags, data=replace(flags.data, path=given))
    return flags.apply(None), None
