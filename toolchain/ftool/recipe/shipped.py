"""Find and copy the recipes that ship with ftool, for `ftool new --from`."""

import difflib
import importlib.resources
from pathlib import Path

from ftool.errors import RecipeError
from ftool_runtime.atomic import replacing


def shipped_recipes() -> dict[str, Path]:
    """Return a dict from the name of each shipped recipe to the recipe's file.

    The files are in the installed package or, in a checkout, in the folder models/.
    """
    package = Path(str(importlib.resources.files("ftool")))
    roots = (package / "builtin" / "recipes", package.parent.parent / "models")
    return {path.parent.name: path for root in roots for path in sorted(root.glob("*/recipe.toml"))}


def shipped_recipe(name: str) -> Path:
    """Return the file of the shipped recipe `name`.

    Raises RecipeError, which suggests the most similar name or lists the names, for an unknown name.
    """
    recipes = shipped_recipes()
    if name not in recipes:
        near = difflib.get_close_matches(name, recipes, n=1)
        remedy = (
            f"did you mean {near[0]}?"
            if near
            else f"known recipes are {', '.join(sorted(recipes)) or 'none'}"
        )
        raise RecipeError(f"no recipe called {name!r} ships with ftool; {remedy}")
    return recipes[name]


def copy_shipped(name: str, path: Path) -> None:
    """Copy the file of the shipped recipe `name` to `path`, including the comments.

    Raises RecipeError for an unknown name.
    """
    text = shipped_recipe(name).read_text(encoding="utf-8")
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(text)
