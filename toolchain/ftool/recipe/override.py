"""Replace settings by their paths: texts such as `--set train.learning_rate=3e-5`, or values from Python."""

import dataclasses
import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from ftool.errors import RecipeError
from ftool.recipe.schema import SETTINGS
from ftool.recipe.sections import is_default
from ftool_runtime.errors import nearest
from ftool_runtime.schema import accepts, field_types, join, options, unknown_key

S = TypeVar("S")
_Read = Callable[[Any, Any, Any, str], Any]  # (given value, annotation, default, path) -> the setting's value


def apply_overrides(settings: S, assignments: Sequence[str]) -> S:
    """Return `settings` with every `key=value` of `assignments` applied; if a key is repeated, its last value counts.

    A value is parsed as TOML if possible, otherwise taken as a string. If the value is empty, a setting whose default
    depends on other settings gets this default again, and an optional setting becomes unset. Raises RecipeError for a
    missing `=`, an unknown key, or a value that is not allowed.
    """
    values: dict[str, str] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise RecipeError(f"--set takes key=value, such as train.epochs=2, got {assignment!r}")
        values[key.strip()] = text.strip()
    return _applied(settings, values, _parse)


def apply_settings(settings: S, values: Mapping[str, Any]) -> S:
    """Return `settings` with every value of `values` applied; its keys are paths such as "train.epochs".

    None gives a setting its default again. A `pathlib.Path` stands for its text. Raises RecipeError for an unknown key,
    or for a value that is not allowed.
    """
    return _applied(settings, values, _checked)


def setting_paths(kind: type, name: str) -> list[str]:
    """Return the path of each setting called `name` in the tables of `kind`, such as "train.epochs" for "epochs"."""
    tables = {table: hint for table, hint in field_types(kind).items() if dataclasses.is_dataclass(hint)}
    return [join(table, name) for table, hint in tables.items() if name in field_types(_class(hint))]


def nearest_settings(kind: type, name: str) -> list[str]:
    """Return the path of each setting of `kind`, in a table or not, whose name is most similar to `name`, if any is."""
    hints = field_types(kind)
    tables = [_class(hint) for hint in hints.values() if dataclasses.is_dataclass(hint)]
    inner = [field for table in tables for field in field_types(table)]
    near = name if name in inner else nearest(name, [*hints, *inner])
    if near is None or near in hints:
        return [] if near is None else [near]
    return setting_paths(kind, near)


def _applied(settings: S, values: Mapping[str, Any], read: _Read) -> S:
    changes: dict[str, Any] = {}
    for key, value in values.items():
        _note(changes, type(settings), key.split("."), value, "", read)
    changed: S = _replaced(settings, changes)
    return changed


def _note(changes: dict[str, Any], kind: type, keys: list[str], given: Any, at: str, read: _Read) -> None:
    """Read the value of a setting, and add it to `changes`, which has a nested dict for each table.

    `kind` is the dataclass of a table, and `at` is the path of this table ("" for the whole recipe). `keys` is the path
    of the setting within the table, and `given` its value before `read`. Raises RecipeError for an unknown key or a
    value that is not allowed.
    """
    hints = field_types(kind)
    name, rest = keys[0], keys[1:]
    path = join(at, name)
    if name not in hints:
        near = nearest_settings(kind, name) if not at else []
        told = unknown_key(path, hints, at)
        raise RecipeError(f"{path} is not a setting; did you mean {' or '.join(near)}?" if near else told)
    if dataclasses.is_dataclass(hints[name]):
        if not rest:
            raise RecipeError(f"{path} is a table; set one of {', '.join(field_types(hints[name]))} in it")
        _note(changes.setdefault(name, {}), hints[name], rest, given, path, read)
    elif rest:
        raise RecipeError(f"{path} is not a table, so {'.'.join(rest)} can't be set in it")
    else:
        changes[name] = read(given, hints[name], _usual(kind, name), path)


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


def _class(hint: Any) -> type:
    assert isinstance(hint, type)
    return hint


def _usual(kind: type, name: str) -> Any:
    return next(field.default for field in dataclasses.fields(kind) if field.name == name)


def _checked(value: Any, hint: Any, usual: Any, path: str) -> Any:
    if value is None and (type(None) in options(hint) or is_default(usual)):
        return usual
    return SETTINGS.convert(os.fspath(value) if isinstance(value, os.PathLike) else value, hint, path)


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
