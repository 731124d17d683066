"""Flags override a recipe for one call; if there is no recipe, a new one is written from the flags."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from ftool.cli.options import data_options, recipe_options
from ftool.errors import RecipeError
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.flags import DataFlags, RecipeFlags, recipe_for
from ftool.recipe.recipe import Recipe
from ftool_runtime.errors import FtoolError

DATA = DataFlags(path="builtin:intents")


def test_without_a_recipe_the_flags_are_written_as_one(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_text("{}")
    flags = RecipeFlags(base=str(base), data=DATA, assignments=("train.epochs=2",))
    recipe = recipe_for(tmp_path / "model", flags)
    assert Recipe.read(tmp_path / "model" / "recipe.toml") == recipe
    assert (recipe.base, recipe.data.path, recipe.train.epochs) == (str(base), "builtin:intents", 2)


def test_a_recipe_that_is_there_is_overridden_and_left_alone(tmp_path: Path) -> None:
    written = recipe_for(tmp_path, RecipeFlags(data=DATA))
    before = (tmp_path / "recipe.toml").read_bytes()
    recipe = recipe_for(tmp_path, RecipeFlags(base="other/base", assignments=("export.precision=w8",)))
    assert (recipe.base, recipe.export.precision, recipe.data) == ("other/base", "w8", written.data)
    assert (tmp_path / "recipe.toml").read_bytes() == before


def test_without_recipe_and_data_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="write one with `ftool new`"):
        recipe_for(tmp_path, RecipeFlags(base="minilm"))


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        (RecipeFlags(data=DataFlags(path="gone.csv")), "there is no such file"),
        (RecipeFlags(base="./gone", data=DATA), "no such checkpoint folder"),
        (
            RecipeFlags(base="bert-base-uncasedd", data=DATA),
            "not in the hub's cache, and the hub can't be reached",
        ),
        (
            RecipeFlags(data=DataFlags(path="two/parts")),
            "no local file or folder, and the hub can't be reached",
        ),
    ],
)
def test_flags_that_name_nothing_leave_no_recipe(tmp_path: Path, flags: RecipeFlags, error: str) -> None:
    with pytest.raises(FtoolError, match=error):
        recipe_for(tmp_path / "model", flags)
    assert not (tmp_path / "model").exists()


def test_other_data_drops_the_recipes_separate_splits_and_keeps_its_columns() -> None:
    settings = DataSettings(path="a.csv", validation="v.csv", test="t.csv", text="body")
    changed = DataFlags(path="b.csv", label="mood").apply(settings)
    assert changed == DataSettings(path="b.csv", text="body", label="mood")


def test_the_options_reach_the_command_as_flags() -> None:
    seen: list[object] = []

    @click.command()
    @recipe_options
    def command(flags: RecipeFlags) -> None:
        seen.append(flags)

    arguments = [
        "--base",
        "b",
        "--data",
        "d.csv",
        "--columns",
        "text, label",
        "--multi-label",
        "--set",
        "train.epochs=1",
    ]
    assert CliRunner().invoke(command, arguments).exit_code == 0
    data = DataFlags(path="d.csv", columns=("text", "label"), multi_label=True)
    assert seen == [RecipeFlags(base="b", data=data, assignments=("train.epochs=1",))]


def test_options_that_are_not_given_change_nothing() -> None:
    seen: list[object] = []

    @click.command()
    @data_options
    def command(data: DataFlags) -> None:
        seen.append(data)

    assert CliRunner().invoke(command, []).exit_code == 0
    assert seen == [DataFlags()]
