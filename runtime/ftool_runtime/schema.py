"""Build frozen dataclasses from plain JSON or TOML values; the dataclasses' annotations are the schema.

Used for the manifest and its contracts, golden answers, and recipes. Every error names the path of the value (such as
`input.max_length` or `labels[2]`), what it must be and what it is.
"""

import dataclasses
import math
import re
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

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
        error: class of the errors raised.
        unknown: "refuse" raises for a key that no field has, and suggests the nearest one; "ignore" skips it, so that
            later versions can add fields.
        table: what the format calls a mapping; `{at}` stands for its path.
    """

    error: type[FtoolError]
    unknown: Literal["refuse", "ignore"] = "refuse"
    table: str = "an object"

    def build(self, kind: type[T], values: object, at: str = "") -> T:
        """Return an instance of the dataclass `kind` made from a mapping of plain values.

        Supported annotations: str, int, float, bool, Any, Literal, None, unions of these, `tuple[X, ...]`,
        `Mapping[str, X]` and further dataclasses. A null means the field's default, unless None is itself a value of
        the field. A field made by `written` must be present although it has a default.

        Args:
            kind: the dataclass.
            values: what the file holds for it.
            at: path of `values` in the file; empty for the whole file.

        Raises:
            the class `error`: a key is missing or unknown, or a value has the wrong type.
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
        """Return `value` converted to the annotation `hint`. Raises the class `error`, naming the path `at`."""
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
        """The values that an annotation accepts, in words."""
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
    """Return the members of a union, or the annotation itself."""
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
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if hint is type(None):
        return value is None
    return type(value) is hint


def show(value: object) -> str:
    """Return a value for a message: strings and booleans as in JSON and TOML, long values cut."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."


def unknown_key(path: str, known: Iterable[str], at: str) -> str:
    """Return the message for an unknown key, with the nearest known key, or all known keys."""
    names: Sequence[str] = list(known)
    near = nearest(path.rpartition(".")[2], names, cutoff=0.5)
    remedy = f"did you mean {join(at, near)}?" if near else f"known are {', '.join(names)}"
    return f"{path} is not a setting; {remedy}"


def join(at: str, key: str) -> str:
    """Return the full path of a key, such as `train.learning_rate`; a key with other characters is quoted."""
    key = key if _BARE_KEY.fullmatch(key) else f'"{key}"'
    return f"{at}.{key}" if at else key


def _suggestion(value: object, hint: Any) -> str:
    choices = [
        choice for option in options(hint) if get_origin(option) is Literal for choice in get_args(option)
    ]
    near = nearest(value, map(str, choices), cutoff=0.5) if isinstance(value, str) and choices else None
    return f'; did you mean "{near}"?' if near else ""
