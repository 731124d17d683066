"""`--set train.learning_rate=3e-5`: one setting replaced for one call."""

import dataclasses
import tomllib
from collections.abc import Sequence
from typing import Any, TypeVar

from .errors import RecipeError
from .schema import accepts, convert, field_types, join, options, unknown_key

S = TypeVar("S")


def apply_overrides(settings: S, assignments: Sequence[str]) -> S:
    """`settings` with every `key=value` put in its place, in order.

    A value is read as TOML, or else taken as a string; an empty one unsets a setting that can be unset.
    Raises RecipeError for a missing `=`, an unknown key, or a value the setting does not take.
    """
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise RecipeError(f"--set takes key=value, such as train.epochs=2, got {assignment!r}")
        settings = _assign(settings, key.strip().split("."), text.strip(), "")
    return settings


def _assign(settings: Any, keys: list[str], text: str, at: str) -> Any:
    hints = field_types(type(settings))
    name, rest = keys[0], keys[1:]
    path = join(at, name)
    if name not in hints:
        raise RecipeError(unknown_key(path, hints, at))
    if dataclasses.is_dataclass(hints[name]):
        if not rest:
            raise RecipeError(f"{path} is a table; set one of {', '.join(field_types(hints[name]))} in it")
        return dataclasses.replace(settings, **{name: _assign(getattr(settings, name), rest, text, path)})
    if rest:
        raise RecipeError(f"{path} is no table, so {'.'.join(rest)} can't be set in it")
    return dataclasses.replace(settings, **{name: _parse(text, hints[name], path)})


def _parse(text: str, hint: Any, path: str) -> Any:
    if not text and type(None) in options(hint):
        return None
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    if not any(accepts(option, value) for option in options(hint)) and str in options(hint):
        value = text  # a column named 2024 is a string all the same
    return convert(value, hint, path)
