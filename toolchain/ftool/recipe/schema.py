"""The builder of settings from TOML values, and readers of what stands beside a setting's type.

A setting is annotated `Annotated[type, explanation, *marks]`.
"""

from typing import Annotated, Any, Final, get_origin, get_type_hints

from ftool.recipe.errors import RecipeError
from ftool_runtime.schema import Builder

SETTINGS: Final = Builder(error=RecipeError, table="a table, [{at}]")


def explanation(kind: type[Any], name: str) -> str:
    """Return the line that explains a setting; empty for a table of its own."""
    hint = get_type_hints(kind, include_extras=True)[name]
    return str(hint.__metadata__[0]) if get_origin(hint) is Annotated else ""


def marked(kind: type[Any], name: str, mark: str) -> bool:
    """Return whether a setting carries a mark, such as `SOME_TASKS`, behind its explanation."""
    hint = get_type_hints(kind, include_extras=True)[name]
    return get_origin(hint) is Annotated and mark in hint.__metadata__[1:]
