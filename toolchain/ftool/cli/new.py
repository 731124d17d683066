"""`ftool new`: start a model folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftool.cli.next_steps import command, next_step
from ftool.cli.options import echo_report, json_option, recipe_options
from ftool.recipe.flags import RecipeFlags

if TYPE_CHECKING:
    from ftool.data.inspection.report import Inspection
    from ftool.recipe.recipe import Recipe


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--from", "shipped", metavar="NAME", help="Copy a recipe that ships with ftool, such as intents."
)
@recipe_options
@json_option
def new(folder: Path, shipped: str | None, flags: RecipeFlags, *, as_json: bool) -> None:
    """Start a model folder: write its recipe.

    Before the recipe is written, the data is read and the base model looked up, so that every recipe that is written
    can be trained. An existing recipe is never replaced.

    \b
    ftool new models/bank --base minilm --data bank.csv
    ftool new models/en-zh --task translation --base scratch:t5-mini --data pairs.tsv
    ftool new models/intents --from intents
    """
    from ftool.bases import check_base
    from ftool.errors import RecipeError
    from ftool.inspect_data import inspect_data
    from ftool.recipe.recipe import Recipe
    from ftool.recipe.shipped import copy_shipped, shipped_recipe
    from ftool.workspace import ModelFolder

    path = ModelFolder(folder).recipe
    if path.exists():
        raise RecipeError(f"{path}: a recipe already exists; edit it, or choose another folder")
    source = shipped_recipe(shipped) if shipped else None
    recipe = flags.apply(Recipe.read(source) if source else None)
    check_base(recipe.base, recipe.row)
    report = inspect_data(recipe, tokens=False)
    found = _found(report)
    if shipped and flags == RecipeFlags():
        copy_shipped(shipped, path)
    else:
        recipe.write(path)
    echo_report(
        lambda: {
            "recipe": str(path),
            "task": recipe.task,
            "base": recipe.base,
            "data": found,
            "checks": report.short_checks(),
            "suggestions": recipe.row.suggest(recipe, report),
        },
        lambda: _report_text(path, recipe, found, report),
        as_json=as_json,
    )


def _found(report: "Inspection") -> dict[str, Any]:
    """Return the number of examples in each split of the data, and the number and kind of labels if any."""
    counts, facts = dict(report.examples), report.facts
    if facts.get("regression"):
        return {
            **counts,
            **{name: facts[name] for name in ("numbers", "regression", "pairs") if name in facts},
        }
    if "multi_label" in facts:
        return {**counts, "labels": len(report.classes), "multi_label": facts["multi_label"]}
    return counts


def _report_text(path: Path, recipe: "Recipe", data: dict[str, Any], report: "Inspection") -> str:
    kind = f"{data['train']} training examples"
    if "regression" in data:
        kind = f"{len(data['numbers'])} numbers" if "numbers" in data else "a number"
        kind += " from pairs of texts" if data["pairs"] else ""
    elif "labels" in data:
        kind = f"{data['labels']} labels ({'multi' if data['multi_label'] else 'single'}-label)"
    lines = [f"Wrote {path}: {recipe.task}, {kind}, base {recipe.base}.", *report.notes]
    if checks := report.short_checks():
        lines += [f"To check (`ftool data {path.parent}` shows examples):", *(f"- {one}" for one in checks)]
    lines += recipe.row.suggest(recipe, report)
    return "\n".join([*lines, next_step(command("train", path.parent))])
