"""Convert a recipe's paths between relative to the recipe file (on disk) and to the working directory (in memory)."""

import dataclasses
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from ftool.recipe.sections import Sections

R = TypeVar("R", bound=Sections)

BUILTIN: Final = "builtin:"  # prefix of the names of data sets that ship with ftool
_DATA_PATHS = ("path", "validation", "test", "target_file", "label_names")


def anchored(recipe: R, folder: Path) -> R:
    """Return a recipe read from a file in `folder`, with its local paths made relative to the working directory."""
    return _with_paths(recipe, lambda value: _anchor(value, folder))


def relative_to(recipe: R, folder: Path) -> R:
    """Return a recipe to write to a file in `folder`, with paths relative to `folder`; absolute paths stay absolute."""
    return _with_paths(recipe, lambda value: _relative(value, folder))


def looks_like_path(value: str) -> bool:
    """Return whether a value that does not exist on disk looks like a path, rather than a hub id or a shipped name."""
    return bool(
        re.search(
            r"^[.~/]|\\|/.*/|\.(csv|tsv|jsonl?|ndjson|parquet|txt|conll|bio|iob2?)(\.gz)?$",
            value,
            re.IGNORECASE,
        )
    )


def _with_paths(recipe: R, change: Callable[[str], str]) -> R:
    changed: dict[str, Any] = {
        name: change(value) for name in _DATA_PATHS if (value := getattr(recipe.data, name)) is not None
    }
    return dataclasses.replace(
        recipe, base=change(recipe.base), data=dataclasses.replace(recipe.data, **changed)
    )


def _anchor(value: str, folder: Path) -> str:
    if value.startswith(BUILTIN):
        return value
    here = folder / value
    return str(here) if here.exists() or (looks_like_path(value) and not Path(value).is_absolute()) else value


def _relative(value: str, folder: Path) -> str:
    if Path(value).is_absolute() or not Path(value).exists():
        return value
    try:
        return Path(os.path.relpath(Path(value).resolve(), folder.resolve())).as_posix()
    except ValueError:  # on Windows, for a path on another drive
        return str(Path(value).resolve())
