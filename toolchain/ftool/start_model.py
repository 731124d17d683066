"""Start a model folder from Python: data in files or in memory, and settings by name, become its recipe."""

import dataclasses
import logging
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from ftool.bases import check_base
from ftool.data.load import load_dataset
from ftool.data.sources.memory import RowsInMemory, save_rows
from ftool.errors import RecipeError
from ftool.recipe.flags import DataFlags, RecipeFlags
from ftool.recipe.override import apply_settings, setting_paths
from ftool.recipe.paths import BUILTIN, anchored, relative_to
from ftool.recipe.recipe import Recipe
from ftool.workspace import ModelFolder
from ftool_runtime.schema import show

log = logging.getLogger(__name__)

DATA_FOLDER: Final = "data"  # in a model folder: the rows that a program held in memory
_MODELS: Final = Path("models")  # where models go that are not given a folder
_FIRST: Final = "train."  # the table that a name means if several have it, such as seed


def new_folder(data: Any) -> Path:
    """Return a folder in models/ that does not exist yet, named after the data: models/bank for bank.csv."""
    name = "model"
    if isinstance(data, str | os.PathLike):
        text = os.fspath(data).partition("?")[0].rstrip("/\\")
        last = text.split(":")[1] if text.startswith(BUILTIN) else re.split(r"[/\\:]", text)[-1]
        name = last.partition(".")[0] or name
    folder, number = _MODELS / name, 2
    while folder.exists():
        folder, number = _MODELS / f"{name}-{number}", number + 1
    return folder


def by_path(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings by path, such as "train.epochs", given by name or path.

    A name that several tables have means the setting of [train].
    """
    found = {}
    for name, value in settings.items():
        paths = [name] if "." in name else setting_paths(Recipe, name) or [name]
        found[next((path for path in paths if path.startswith(_FIRST)), paths[0])] = value
    return found


def start_model(
    folder: Path,
    data: Any,
    *,
    task: str | None,
    base: str | None,
    settings: Mapping[str, Any],
    replace: bool,
) -> Recipe:
    """Write the recipe of a new model to `folder`, and return it.

    Rows in memory are saved in the folder, as Parquet, so that other processes can evaluate and export the model. The
    data is read and the base model looked up before anything is written.

    Args:
        folder: the model folder.
        data: a path, a hub id or `builtin:NAME`, or rows in memory as for `tables_in_memory`.
        task: the task's name; None for the default.
        base: the base model; None for the default.
        settings: other settings by path.
        replace: whether a recipe with other settings, and saved rows, are replaced.

    Raises FtoolError if a setting, the base model or the data can't be used, or if the folder holds another recipe.
    """
    in_file = isinstance(data, str | os.PathLike)
    path = os.fspath(data) if in_file else _from_here(folder / DATA_FOLDER)
    flags = RecipeFlags(task=task, base=base, data=DataFlags(path=path))
    recipe = apply_settings(flags.apply(None), settings)
    file = ModelFolder(folder).recipe
    if file.exists() and not replace:
        _check_same(file, recipe)
    check_base(recipe.base, recipe.row)
    rows = None if in_file else RowsInMemory.of(data, recipe.data)
    load_dataset(recipe.row.reader, recipe.data if rows is None else rows, quiet=True)
    if rows is not None:
        save_rows(rows, folder / DATA_FOLDER, replace=replace)
        log.info("the rows are saved in %s, which the recipe names", folder / DATA_FOLDER)
    if replace or not file.exists():
        recipe.write(file)
    return Recipe.read(file)


def _from_here(folder: Path) -> str:
    """Return a folder relative to the working directory, because a recipe keeps absolute paths as they are."""
    try:
        return os.path.relpath(folder)
    except ValueError:  # on Windows, on another drive
        return str(folder)


def _check_same(file: Path, recipe: Recipe) -> None:
    """Raise RecipeError, which names a setting, if the recipe in `file` differs from `recipe`."""
    present = dict(_values(Recipe.read(file)))
    for path, value in _values(
        anchored(relative_to(recipe, file.parent), file.parent)
    ):  # as it would be read
        if present[path] != value:
            raise RecipeError(
                f"{file}: an earlier recipe has {path} = {show(present[path])}, and this one {show(value)}; choose "
                "another folder, or pass replace=True to train the model in this one again"
            )


def _values(recipe: Recipe) -> Iterator[tuple[str, Any]]:
    for table, value in dataclasses.asdict(recipe).items():
        if isinstance(value, dict):
            yield from ((f"{table}.{name}", one) for name, one in value.items())
        else:
            yield table, value
