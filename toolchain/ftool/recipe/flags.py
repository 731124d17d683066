"""The settings that a caller names, on the command line or in Python: they describe a recipe, or override one."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ftool.errors import RecipeError
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.workspace import ModelFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFlags:
    """The flags that say where the data is and how to read it. A flag that was not given is None."""

    path: str | None = None
    text: str | None = None
    text_pair: str | None = None
    label: str | None = None
    source: str | None = None
    target: str | None = None
    target_file: str | None = None
    messages: str | None = None
    source_language: str | None = None
    target_language: str | None = None
    columns: tuple[str, ...] | None = None
    label_names: str | None = None
    label_separator: str | None = None
    multi_label: bool | None = None
    fold_labels: bool | None = None
    skip_incomplete: bool | None = None

    def apply(self, settings: DataSettings | None) -> DataSettings:
        """Return `settings` overridden by the flags.

        If the flags name a data path, the separate files of splits and targets in `settings` are dropped.

        Raises RecipeError if neither settings nor flags name the data.
        """
        given = {name: value for name in self.__slots__ if (value := getattr(self, name)) is not None}
        if settings is None:
            if self.path is None:
                raise RecipeError(
                    "no data: name it with --data (a file, a folder, a hub id, or builtin:intents)"
                )
            return DataSettings(**given)
        if self.path is not None:
            settings = replace(settings, validation=None, test=None, target_file=None)
        return replace(settings, **given)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeFlags:
    """The flags that describe a new recipe, or override an existing recipe for one call of a command."""

    task: str | None = None
    base: str | None = None
    data: DataFlags = DataFlags()
    assignments: tuple[str, ...] = ()

    def apply(self, recipe: Recipe | None) -> Recipe:
        """Return `recipe` overridden by the flags, or, if `recipe` is None, the recipe that the flags describe."""
        data = self.data.apply(recipe.data if recipe else None)
        given: dict[str, Any] = {
            name: value for name in ("task", "base") if (value := getattr(self, name)) is not None
        }
        changed = replace(recipe, data=data, **given) if recipe else Recipe(data=data, **given)
        return changed.with_overrides(self.assignments)


def recipe_for(folder: Path, flags: RecipeFlags) -> Recipe:
    """Return a model folder's recipe, overridden by the flags.

    If the folder has no recipe, the recipe that the flags describe is written to the folder and returned.

    Raises RecipeError for a wrong recipe or flag or if no data is named, BaseError if the base model can't be used, and
    DataError if the data can't be found; nothing is then written.
    """
    path = ModelFolder(folder).recipe
    if path.exists():
        return flags.apply(Recipe.read(path))
    if flags.data.path is None:
        raise RecipeError(
            f"{path}: recipe not found; write one with `ftool new`, or describe one with --base and --data"
        )
    recipe = flags.apply(None)
    _check_sources(recipe)
    recipe.write(path)
    return recipe


def _check_sources(recipe: Recipe) -> None:
    """Raise an error if the recipe's base or data can't be found; called before the recipe is written."""
    from ftool.bases import check_base
    from ftool.data.sources.find import find_tables

    check_base(recipe.base, recipe.row)
    find_tables(recipe.data)
