"""The error of a recipe that can't be used, its checks, and marks that settings carry beside their types."""

from typing import Final

from ftool_runtime.errors import FtoolError
from ftool_runtime.schema import show

SOME_TASKS: Final = "some tasks"  # marks the settings that only those tasks use whose row names them
DERIVED: Final = "derived"  # marks the settings whose default follows from the task or other settings


class RecipeError(FtoolError):
    """A recipe, or a flag that overrides it, is wrong; the message names key, value and remedy."""


def require(holds: bool, key: str, what: str, value: object) -> None:
    """Raise RecipeError, saying what `key` must be, unless it `holds`."""
    if not holds:
        raise RecipeError(f"{key} must be {what}, got {show(value)}")
