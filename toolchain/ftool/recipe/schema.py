"""The schema of recipes: RecipeError, the check of one value, marks on settings, and the builder from TOML values.

A setting is annotated `Annotated[type, explanation, *marks]`.
"""

from typing import Annotated, Any, Final, get_origin, get_type_hints

from ftool_runtime.errors import FtoolError
from ftool_runtime.schema import Builder, show

SOME_TASKS: Final = (
    "some tasks"  # marks settings that only some tasks use: those with the setting in `Task.settings`
)
DERIVED: Final = "derived"  # marks settings whose default follows from the task or from other settings


class RecipeError(FtoolError):
    """A recipe, or a flag that overrides it, is wrong; the message names the key, the value and the remedy."""


SETTINGS: Final = Builder(error=RecipeError, table="a table, [{at}]")


def require(holds: bool, key: str, what: str, value: object) -> None:
    """Raise RecipeError with the message that `key` must be `what`, unless `holds`."""
    if not holds:
        raise RecipeError(f"{key} must be {what}, got {show(value)}")


def explanation(kind: type[Any], name: str) -> str:
    """Return the explanation of a setting; empty for a setting that is a table."""
    hint = get_type_hints(kind, include_extras=True)[name]
    return str(hint.__metadata__[0]) if get_origin(hint) is Annotated else ""


def marked(kind: type[Any], name: str, mark: str) -> bool:
    """Return whether a setting has a mark, such as `SOME_TASKS`."""
    hint = get_type_hints(kind, include_extras=True)[name]
    return get_origin(hint) is Annotated and mark in hint.__metadata__[1:]
