"""Convert the paths in a recipe.

On disk, paths are relative to the recipe file; in memory, they are relative to the working directory.
"""

import dataclasses
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from ftool.recipe.sections import Sections

R = TypeVar("R", bound=Sections)

BUILTIN: Final = "builtin:"  # prefix of the names of data sets that ship with ftool
SQLITE: Final = (
    "sqlite:///"  # prefix of the path of a database, after which a question mark and a query may come
)
_DATA_PATHS = ("path", "validation", "test", "target_file", "label_names")


def anchored(recipe: R, folder: Path) -> R:
    """Return a recipe with local paths relative to the working directory instead of `folder`.

    `folder` holds the file from which the recipe was read. Hub ids, shipped names and absolute paths are unchanged.
    """
    return _with_paths(recipe, lambda value: _anchor(value, folder))


def relative_to(recipe: R, folder: Path) -> R:
    """Return a recipe with local paths relative to `folder` instead of the working directory.

    `folder` holds the file to which the recipe will be written. Hub ids, shipped names and absolute paths are
    unchanged.
    """
    return _with_paths(recipe, lambda value: _relative(value, folder))


def looks_like_path(value: str) -> bool:
    """Return whether a value looks like a path, rather than like a hub id or the name of something that ftool ships.

    Only the characters of the value decide: the function does not look for a file.
    """
    return bool(
        re.search(
            r"^[.~/]|\\|/.*/|\.(csv|tsv|jsonl?|ndjson|parquet|arrow|feather|psv|txt|conllu?|bio|iob2?"
            r"|xls[xm]?|ods|zip|db|sqlite3?)(\.(gz|bz2|xz))?$",
            value,
            re.IGNORECASE,
        )
    )


def _with_paths(recipe: R, change: Callable[[str], str]) -> R:
    changed: dict[str, Any] = {
        name: change(value) for name in _DATA_PATHS if (value := getattr(recipe.data, name)) is not None
    }
    teacher = recipe.train.distill_from
    candidates = tuple(change(value) for value in recipe.export.candidates)
    return dataclasses.replace(
        recipe,
        base=change(recipe.base),
        data=dataclasses.replace(recipe.data, **changed),
        train=dataclasses.replace(recipe.train, distill_from=None if teacher is None else change(teacher)),
        export=dataclasses.replace(recipe.export, candidates=candidates),
    )


def _anchor(value: str, folder: Path) -> str:
    if value.startswith(BUILTIN):
        return value
    if value.startswith(SQLITE):
        path, mark, query = value.removeprefix(SQLITE).partition("?")
        return f"{SQLITE}{_shortest(folder / path)}{mark}{query}"
    here = _shortest(folder / value)
    return str(here) if here.exists() or (looks_like_path(value) and not Path(value).is_absolute()) else value


def _shortest(path: Path) -> Path:
    """Return a path without "..": relative to the working directory if that needs none, else absolute."""
    if ".." not in path.parts:
        return path
    found, here = path.resolve(), Path.cwd()
    return found.relative_to(here) if found.is_relative_to(here) else found


def _relative(value: str, folder: Path) -> str:
    if value.startswith(SQLITE):
        path, mark, query = value.removeprefix(SQLITE).partition("?")
        return f"{SQLITE}{_relative(path, folder)}{mark}{query}"
    if Path(value).is_absolute() or not Path(value).exists():
        return value
    try:
        return Path(os.path.relpath(Path(value).resolve(), folder.resolve())).as_posix()
    except ValueError:  # on Windows, for a path on another drive
        return str(Path(value).resolve())
