"""Plain values, as TOML gives them, into checked settings.

The dataclasses' own annotations are the schema: a key that no field has, or a value that a field's type does
not take, is refused with the key's whole path and the nearest name that would have been right.
"""

import dataclasses
import difflib
import math
import types
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from ftool.recipe.errors import RecipeError, show

T = TypeVar("T")


def build(kind: type[T], values: Mapping[str, Any], at: str = "") -> T:
    """An instance of the settings dataclass `kind` from a table of plain values.

    `at` is the table's own path. Raises RecipeError for a key unknown or missing, or a wrong type.
    """
    hints = field_types(kind)
    for key in values:
        if key not in hints:
            raise RecipeError(unknown_key(join(at, key), hints, at))
    for field in dataclasses.fields(cast(Any, kind)):
        if field.name not in values and is_required(field):
            raise RecipeError(f"{join(at, field.name)} is missing")
    return kind(**{key: convert(value, hints[key], join(at, key)) for key, value in values.items()})


def convert(value: object, hint: Any, at: str) -> Any:
    """`value` as the type `hint` wants it, or RecipeError naming the key `at`."""
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise RecipeError(f"{at} must be a table, [{at}], got {show(value)}")
        return build(cast(type[Any], hint), value, at)
    for option in options(hint):
        if accepts(option, value):
            return _shape(option, value)
    raise RecipeError(f"{at} must be {describe(hint)}, got {show(value)}{_nearest_choice(value, hint)}")


def field_types(kind: type[Any]) -> dict[str, Any]:
    """The name and resolved type of every field of a settings dataclass, in the order they are written."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def explanation(kind: type[Any], name: str) -> str:
    """The line that stands first beside a field's type in `Annotated`; empty for a table of its own."""
    hint = get_type_hints(kind, include_extras=True)[name]
    return str(hint.__metadata__[0]) if get_origin(hint) is Annotated else ""


def marked(kind: type[Any], name: str, mark: str) -> bool:
    """Whether a field carries a mark, such as `SOME_TASKS`, behind its explanation."""
    hint = get_type_hints(kind, include_extras=True)[name]
    return get_origin(hint) is Annotated and mark in hint.__metadata__[1:]


def is_required(field: "dataclasses.Field[Any]") -> bool:
    """Whether a field has no default."""
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def options(hint: Any) -> tuple[Any, ...]:
    """The alternatives of a union, or the type itself."""
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def accepts(option: Any, value: object) -> bool:
    """Whether one alternative of a field's type takes `value`; true and false are no numbers here."""
    origin, arguments = get_origin(option), get_args(option)
    if origin is Literal:
        return any(type(value) is type(choice) and value == choice for choice in arguments)
    if origin is tuple:
        return isinstance(value, list | tuple) and all(accepts(arguments[0], item) for item in value)
    if origin is Mapping:
        return isinstance(value, Mapping) and all(accepts(arguments[1], item) for item in value.values())
    if option is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if option is type(None):
        return value is None
    return type(value) is option


def _shape(option: Any, value: Any) -> Any:
    """An accepted value in the immutable form that settings hold."""
    if get_origin(option) is tuple:
        return tuple(value)
    if get_origin(option) is Mapping:
        return {str(key): float(item) for key, item in value.items()}
    return float(value) if option is float else value


def describe(hint: Any) -> str:
    """What a field's type takes, in words."""
    return " or ".join(_describe_option(option) for option in options(hint) if option is not type(None))


def _describe_option(option: Any) -> str:
    origin = get_origin(option)
    if origin is Literal:
        return ", ".join(f'"{choice}"' for choice in get_args(option))
    if origin is tuple:
        return "a list of strings"
    if origin is Mapping:
        return "a table of numbers"
    names = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}
    return names[option]


def unknown_key(path: str, known: Iterable[str], at: str) -> str:
    """The message for a key that no field has, naming the nearest known one, or all."""
    names = list(known)
    near = difflib.get_close_matches(path.rpartition(".")[2], names, n=1, cutoff=0.5)
    remedy = f"did you mean {join(at, near[0])}?" if near else f"known are {', '.join(names)}"
    return f"{path} is no setting; {remedy}"


def _nearest_choice(value: object, hint: Any) -> str:
    choices = [
        choice for option in options(hint) if get_origin(option) is Literal for choice in get_args(option)
    ]
    near = difflib.get_close_matches(str(value), choices, n=1, cutoff=0.5) if isinstance(value, str) else []
    return f'; did you mean "{near[0]}"?' if near else ""


def join(at: str, key: str) -> str:
    """A key's whole path, such as `train.learning_rate`."""
    return f"{at}.{key}" if at else key
