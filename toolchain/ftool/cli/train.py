"""`ftool train`: train a recipe's model into run/."""

from pathlib import Path

import click

from ftool.cli.next_steps import after_training
from ftool.cli.options import echo_report, folder_argument, json_option, recipe_options
from ftool.recipe.flags import RecipeFlags, recipe_for
from ftool.recipe.recipe import Recipe
from ftool.workspace import ModelFolder


@click.command()
@folder_argument
@recipe_options
@click.option("--resume", is_flag=True, help="Resume an interrupted run.")
@json_option
def train(folder: Path, flags: RecipeFlags, resume: bool, as_json: bool) -> None:
    """Fine-tune the base model on the data as the recipe says, and measure the result.

    The result is in run/: the checkpoint in Hugging Face's layout and metrics.json. An earlier run/ is kept until the
    new one is complete. Without a recipe in FOLDER, --base and --data are needed, and a recipe is written from them.
    `ftool train` prints notes and warnings about the data if the recipe in FOLDER does not name this data yet.
    Otherwise it counts them in one line; `ftool data` shows them.
    """
    path = ModelFolder(folder).recipe
    known = Recipe.read(path).data if path.exists() else None
    recipe = recipe_for(folder, flags)
    from ftool.train_model import train as train_model
    from ftool.training.hardware import is_main_process

    report = train_model(recipe, folder, resume=resume, brief=recipe.data == known)
    if not is_main_process():
        return
    echo_report(report.to_json, report.table, as_json=as_json, then=after_training(folder, recipe.row))
