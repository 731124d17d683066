"""`ftool new`: start a model folder."""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftool.cli.flags import RecipeFlags
from ftool.cli.options import echo_json, json_option, recipe_options

if TYPE_CHECKING:
    from ftool.recipe.recipe import Recipe

# Of the tasks with data of their own kind: the module and the function that loads it.
_LOADERS = {
    "question-answering": ("ftool.data.load_questions", "load_question_data"),
    "token-classification": ("ftool.data.load_tags", "load_tagged_data"),
    "feature-extraction": ("ftool.data.load_similarity", "load_similarity_data"),
}
_SPLITS = ("train", "validation", "test")


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--from", "shipped", metavar="NAME", help="Copy a recipe that ships with ftool, such as intents."
)
@recipe_options
@json_option
def new(folder: Path, shipped: str | None, flags: RecipeFlags, *, as_json: bool) -> None:
    """Start a model folder: write its recipe.

    The data is read and the base model looked up first, so that a recipe that is written can be trained. A recipe
    that is there already is never replaced.

    \b
    ftool new models/bank --base minilm --data bank.csv
    ftool new models/en-zh --task translation --base scratch:t5-mini --data pairs.tsv
    ftool new models/intents --from intents
    """
    from ftool.bases import check_base
    from ftool.recipe.errors import RecipeError
    from ftool.recipe.recipe import Recipe
    from ftool.recipe.shipped import copy_shipped, shipped_recipe
    from ftool.workspace import ModelFolder

    path = ModelFolder(folder).recipe
    if path.exists():
        raise RecipeError(f"{path}: there is a recipe already; edit it, or choose another folder")
    source = shipped_recipe(shipped) if shipped else None
    recipe = flags.apply(Recipe.read(source) if source else None)
    check_base(recipe.base, recipe.row)
    found = _found(recipe)
    if shipped and flags == RecipeFlags():
        copy_shipped(shipped, path)
    else:
        recipe.write(path)
    _say(path, recipe, found, as_json=as_json)


def _found(recipe: "Recipe") -> dict[str, Any]:
    """How many examples each split has, and for classifiers what labels there are, or that the answer is a number."""
    from ftool.data.load import load_dataset
    from ftool.data.load_generation import load_generation_data

    if recipe.row.writes:
        pairs = load_generation_data(recipe.data, recipe.task)
        return {split: len(pairs.split(split)) for split in (*_SPLITS, *pairs.further)}
    if recipe.task in _LOADERS:
        module, load = _LOADERS[recipe.task]
        found = getattr(importlib.import_module(module), load)(recipe.data)
        return {split: len(found.split(split)) for split in _SPLITS}
    data = load_dataset(recipe.data, recipe.task)
    splits = {split: len(data.split(split)) for split in _SPLITS}
    if data.regression:
        return {**splits, "regression": True, "pairs": data.pairs}
    return {**splits, "labels": len(data.label_names), "multi_label": data.multi_label}


def _say(path: Path, recipe: "Recipe", data: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        echo_json({"recipe": str(path), "task": recipe.task, "base": recipe.base, "data": data})
        return
    kind = f"{data['train']} training examples"
    if "regression" in data:
        kind = "a number from pairs of texts" if data["pairs"] else "a number"
    elif "labels" in data:
        kind = f"{data['labels']} labels ({'multi' if data['multi_label'] else 'single'}-label)"
    click.echo(f"Wrote {path}: {recipe.task}, {kind}, base {recipe.base}.")
    click.echo(f"Next: ftool train {path.parent}")
