"""The schema of recipes: the builder that converts TOML values, a check of single values, and marks on settings.

A setting is annotated `Annotated[type, explanation, *marks]`.
"""

from dataclasses import fields
from typing import Annotated, Any, Final, get_origin, get_type_hints

from ftool.errors import RecipeError
from ftool_runtime.schema import Builder, show

# Marks settings that only some tasks use: the tasks that list the setting in `Task.settings`.
SOME_TASKS: Final = "some tasks"
DERIVED: Final = "derived"  # marks settings whose default depends on the task or on other settings


_LARGEST: Final = 2**31 - 1  # of 32 bits, as in torch, numpy's seeds and tokenizers

SETTINGS: Final = Builder(error=RecipeError, table="a table, [{at}]")


def require(holds: bool, key: str, what: str, value: object) -> None:
    """Raise RecipeError with the message "KEY must be WHAT, got VALUE" if `holds` is false."""
    if not holds:
        raise RecipeError(f"{key} must be {what}, got {show(value)}")


def require_sizes(settings: Any, table: str) -> None:
    """Raise RecipeError, which names the key in `table`, for a whole number that the libraries below can't hold."""
    for field in fields(settings):
        value = getattr(settings, field.name)
        if isinstance(value, int):
            require(abs(value) <= _LARGEST, f"{table}.{field.name}", f"from -{_LARGEST} to {_LARGEST}", value)


def explanation(kind: type[Any], name: str) -> str:
    """Return the explanation of the field `name` of the dataclass `kind`, which is part of the field's annotation.

    Returns "" if the annotation has no explanation.
    """
    hint = get_type_hints(kind, include_extras=True)[name]
    return str(hint.__metadata__[0]) if get_origin(hint) is Annotated else ""


def marked(kind: type[Any], name: str, mark: str) -> bool:
    """Return whether the field `name` of the dataclass `kind` is annotated with `mark`, such as `SOME_TASKS`."""
    hint = get_type_hints(kind, include_extras=True)[name]
    return get_origin(hint) is Annotated and mark in hint.__metadata__[1:]
