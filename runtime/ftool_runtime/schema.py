"""Build frozen dataclasses from plain JSON or TOML values; the dataclasses' annotations are the schema.

Used for the manifest and its contracts, golden answers, and recipes. Every error names the path of the value (such as
`input.max_length` or `labels[2]`), the values that are allowed and the value that was found.
"""

import dataclasses
import math
import re
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeGuard, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from ftool_runtime.errors import BundleError, FtoolError, nearest

T = TypeVar("T")

_NAMES: Final[Mapping[Any, str]] = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}
_PLURALS: Final[Mapping[Any, str]] = {str: "strings", int: "whole numbers", float: "numbers"}
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST_SHOWN: Final = 60  # characters of a value in a message
_WRITTEN: Final = "written"  # key of a field's metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """Builds dataclasses from the values of one kind of file.

    Attributes:
        error: the class of the errors that are raised.
        unknown: "refuse" to raise an error for an unknown key, which suggests the most similar known key; "ignore" to
            skip unknown keys, so that later versions can add fields.
        table: the format's name for a mapping, such as "a table, [{at}]"; `{at}` stands for the mapping's path.
    """

    error: type[FtoolError]
    unknown: Literal["refuse", "ignore"] = "refuse"
    table: str = "an object"

    def build(self, kind: type[T], values: object, at: str = "") -> T:
        """Return an instance of the dataclass `kind` made from a mapping of plain values.

        Supported annotations: str, int, float, bool, Any, Literal, None, unions of these, `tuple[X, ...]`,
        `Mapping[str, X]` and other dataclasses. A null stands for the field's default, unless the field allows None. A
        field made by `written` must be present although it has a default.

        Args:
            kind: the dataclass.
            values: the plain values from the file.
            at: the path of `values` in the file; "" for the whole file.

        Raises an error of the class `error` if a key is missing or unknown, or a value has the wrong type.
        """
        if not isinstance(values, Mapping):
            raise self.error(self._message(at or "the content", self._table(at), values))
        hints = field_types(kind)
        if self.unknown == "refuse":
            for key in values:
                if key not in hints:
                    raise self.error(unknown_key(join(at, key), hints, at))
        given = {}
        for field in dataclasses.fields(cast(Any, kind)):
            name, hint = field.name, hints[field.name]
            if name not in values or (values[name] is None and not accepts(hint, None)):
                if is_required(field) or (field.metadata.get(_WRITTEN) and name not in values):
                    raise self.error(f"{join(at, name)} is missing")
            else:
                given[name] = self.convert(values[name], hint, join(at, name))
        return kind(**given)

    def convert(self, value: object, hint: Any, at: str) -> Any:
        """Return `value` converted to the annotation `hint`.

        Raises an error of the class `error`, which names the path `at`, if the value does not match the annotation.
        """
        for option in options(hint):
            if accepts(option, value):
                return self._converted(value, option, at)
        raise self.error(self._message(at, self._described(hint, at), value) + _suggestion(value, hint))

    def _converted(self, value: Any, option: Any, at: str) -> Any:
        if dataclasses.is_dataclass(option):
            return self.build(cast(type[Any], option), value, at)
        if get_origin(option) is tuple:
            item = get_args(option)[0]
            return tuple(self.convert(each, item, f"{at}[{place}]") for place, each in enumerate(value))
        if get_origin(option) is Mapping:
            item = get_args(option)[1]
            return {str(key): self.convert(each, item, join(at, key)) for key, each in value.items()}
        return float(value) if option is float else value

    def _message(self, at: str, wanted: str, value: object) -> str:
        return f"{at} must be {wanted}, got {show(value)}"

    def _table(self, at: str) -> str:
        return self.table.format(at=at)

    def _described(self, hint: Any, at: str) -> str:
        """Return a description of the values that an annotation accepts, for errors."""
        return " or ".join(
            self._described_option(option, at) for option in options(hint) if option is not type(None)
        )

    def _described_option(self, option: Any, at: str) -> str:
        origin, arguments = get_origin(option), get_args(option)
        if origin is Literal:
            return ("one of " if len(arguments) > 1 else "") + ", ".join(f'"{each}"' for each in arguments)
        if origin is tuple:
            return f"a list of {_PLURALS.get(arguments[0], 'lists or objects')}"
        if origin is Mapping:
            table = self._table(at)
            return f"{table} of {_PLURALS[arguments[1]]}" if arguments[1] in _PLURALS else table
        return _NAMES.get(option) or self._table(at)


JSON: Final = Builder(error=BundleError, unknown="ignore")  # for a bundle's files


def written(default: T) -> T:
    """Return a dataclass field that has a default for callers but must be present in every file."""
    return dataclasses.field(default=default, metadata={_WRITTEN: True})


def field_types(kind: type[Any]) -> Mapping[str, Any]:
    """Return the name and resolved annotation of every field of a dataclass, in order."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def is_required(field: "dataclasses.Field[Any]") -> bool:
    """Return whether a field has no default."""
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def options(hint: Any) -> tuple[Any, ...]:
    """Return the members of `hint` if it is a union, otherwise `hint` alone."""
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def accepts(hint: Any, value: object) -> bool:
    """Return whether `value` matches an annotation, without checking the items of lists and mappings.

    Booleans, nan and infinity are not numbers.
    """
    if hint is Any:
        return True
    if len(options(hint)) > 1:
        return any(accepts(option, value) for option in options(hint))
    origin = get_origin(hint)
    if origin is Literal:
        return any(type(value) is type(choice) and value == choice for choice in get_args(hint))
    if origin is tuple:
        return isinstance(value, list | tuple)
    if origin is Mapping or dataclasses.is_dataclass(hint):
        return isinstance(value, Mapping)
    if hint is float:
        return is_number(value)
    if hint is type(None):
        return value is None
    return type(value) is hint


def is_number(value: object) -> TypeGuard[int | float]:
    """Return whether a value is a finite number that float64 can hold; booleans are not numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond float64
        return False


def show(value: object) -> str:
    """Return a value as text for a message: strings and booleans as in JSON and TOML, and long values cut."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    try:
        text = f'"{value}"' if isinstance(value, str) else repr(value)
    except ValueError:  # Python refuses to write numbers of thousands of digits
        return f"a {type(value).__name__} with thousands of digits"
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."


def unknown_key(path: str, known: Iterable[str], at: str) -> str:
    """Return the error message for the unknown key at `path`, with the most similar known key, or all known keys.

    `at` is the path of the mapping that contains the key.
    """
    names: Sequence[str] = list(known)
    near = nearest(path.rpartition(".")[2], names, cutoff=0.5)
    remedy = f"did you mean {join(at, near)}?" if near else f"known are {', '.join(names)}"
    return f"{path} is not a setting; {remedy}"


def join(at: str, key: str) -> str:
    """Return the full path of a key below `at`, such as `train.learning_rate`; a key that needs quotes is quoted."""
    key = key if _BARE_KEY.fullmatch(key) else f'"{key}"'
    return f"{at}.{key}" if at else key


def _suggestion(value: object, hint: Any) -> str:
    choices = [
        choice for option in options(hint) if get_origin(option) is Literal for choice in get_args(option)
    ]
    near = nearest(value, map(str, choices), cutoff=0.5) if isinstance(value, str) and choices else None
    return f'; did you mean "{near}"?' if near else ""
