"""Apply overrides such as `--set train.learning_rate=3e-5`, which replace settings for one call of a command."""

import dataclasses
import tomllib
from collections.abc import Sequence
from typing import Any, TypeVar

from ftool.errors import RecipeError
from ftool.recipe.schema import SETTINGS
from ftool.recipe.sections import is_default
from ftool_runtime.schema import accepts, field_types, join, options, unknown_key

S = TypeVar("S")


def apply_overrides(settings: S, assignments: Sequence[str]) -> S:
    """Return `settings` with every `key=value` of `assignments` applied; if a key is repeated, its last value counts.

    A value is parsed as TOML if possible, otherwise taken as a string. If the value is empty, a setting whose default
    depends on other settings gets this default again, and an optional setting becomes unset. Raises RecipeError for a
    missing `=`, an unknown key, or a value that is not allowed.
    """
    changes: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise RecipeError(f"--set takes key=value, such as train.epochs=2, got {assignment!r}")
        _note(changes, type(settings), key.strip().split("."), text.strip(), "")
    changed: S = _replaced(settings, changes)
    return changed


def _note(changes: dict[str, Any], kind: type, keys: list[str], text: str, at: str) -> None:
    """Parse `text` as the value of a setting, and add the value to `changes`, which has a nested dict for each table.

    `kind` is the dataclass of a table, and `at` is the path of this table ("" for the whole recipe). `keys` is the path
    of the setting within the table. Raises RecipeError for an unknown key or a value that is not allowed.
    """
    hints = field_types(kind)
    name, rest = keys[0], keys[1:]
    path = join(at, name)
    if name not in hints:
        raise RecipeError(unknown_key(path, hints, at))
    if dataclasses.is_dataclass(hints[name]):
        if not rest:
            raise RecipeError(f"{path} is a table; set one of {', '.join(field_types(hints[name]))} in it")
        _note(changes.setdefault(name, {}), hints[name], rest, text, path)
    elif rest:
        raise RecipeError(f"{path} is not a table, so {'.'.join(rest)} can't be set in it")
    else:
        changes[name] = _parse(text, hints[name], _usual(kind, name), path)


def _replaced(settings: Any, changes: dict[str, Any]) -> Any:
    """Return `settings` with all `changes`, a nested dict, applied.

    The changes to a dataclass are made in one step, because the dataclass checks its values together.
    """
    hints = field_types(type(settings))
    return dataclasses.replace(
        settings,
        **{
            name: _replaced(getattr(settings, name), value)
            if dataclasses.is_dataclass(hints[name])
            else value
            for name, value in changes.items()
        },
    )


def _usual(kind: type, name: str) -> Any:
    return next(field.default for field in dataclasses.fields(kind) if field.name == name)


def _parse(text: str, hint: Any, usual: Any, path: str) -> Any:
    if not text and (type(None) in options(hint) or is_default(usual)):
        return usual
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    if not accepts(hint, value) and str in options(hint):
        value = text  # such as a column named 2024
    return SETTINGS.convert(value, hint, path)
