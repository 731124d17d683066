"""`ftool new`: start a model folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .flags import RecipeFlags
from .options import echo_json, json_option, recipe_options

if TYPE_CHECKING:
    from ftool.recipe import Recipe


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
    ftool new models/intents --from intents
    """
    from ftool.bases import resolve_base
    from ftool.data import load_dataset
    from ftool.model_folder import ModelFolder
    from ftool.recipe import Recipe, RecipeError
    from ftool.recipe.shipped import copy_shipped, shipped_recipe

    path = ModelFolder(folder).recipe
    if path.exists():
        raise RecipeError(f"{path}: there is a recipe already; edit it, or choose another folder")
    source = shipped_recipe(shipped) if shipped else None
    recipe = flags.apply(Recipe.read(source) if source else None)
    resolve_base(recipe.base)
    data = load_dataset(recipe.data, recipe.task)
    if shipped and flags == RecipeFlags():
        copy_shipped(shipped, path)
    else:
        recipe.write(path)
    splits = {split: len(data.split(split)) for split in ("train", "validation", "test")}
    _say(
        path,
        recipe,
        {**splits, "labels": len(data.label_names), "multi_label": data.multi_label},
        as_json=as_json,
    )


def _say(path: Path, recipe: "Recipe", data: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        echo_json({"recipe": str(path), "task": recipe.task, "base": recipe.base, "data": data})
        return
    kind = "multi-label" if data["multi_label"] else "single-label"
    click.echo(f"Wrote {path}: {recipe.task}, {data['labels']} labels ({kind}), base {recipe.base}.")
    click.echo(f"Next: ftool train {path.parent}")
