"""Reading fields of a JSON object with their types checked: an error names the field and what stood there."""

from collections.abc import Callable, Mapping
from typing import TypeVar, cast

from ftool_runtime.errors import BundleError

T = TypeVar("T")

_TYPE_NAMES = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "an object",
}


class Fields:
    """The fields of one JSON object. Keys that nobody asks for are ignored: later versions may add them."""

    def __init__(self, value: object, where: str) -> None:
        """Wrap `value`, found at `where` (a key path, for messages). Raises BundleError if not an object."""
        if not isinstance(value, dict):
            raise BundleError(f"{where} must be an object, got {_shown(value)}")
        self._values: Mapping[str, object] = value
        self.where = where

    def required(self, key: str, kind: type[T]) -> T:
        """The value at `key`. Raises BundleError where it is missing or not of type `kind`."""
        if key not in self._values:
            raise BundleError(f"{self.where} lacks {key!r}")
        return _checked(self._values[key], kind, f"{self.where}: {key!r}")

    def optional(self, key: str, kind: type[T]) -> T | None:
        """The value at `key`; None where it is missing or null. Raises BundleError on another type."""
        value = self._values.get(key)
        return None if value is None else _checked(value, kind, f"{self.where}: {key!r}")

    def array(self, key: str, kind: type[T]) -> tuple[T, ...]:
        """The array at `key`. Raises BundleError where it is missing or an element is not of type `kind`."""
        values = self.required(key, cast(type[list[object]], list))
        return tuple(_checked(v, kind, f"{self.where}: {key!r}[{i}]") for i, v in enumerate(values))

    def optional_array(self, key: str, kind: type[T]) -> tuple[T, ...] | None:
        """The array at `key`; None where it is missing or null."""
        return None if self._values.get(key) is None else self.array(key, kind)

    def fields(self, key: str) -> "Fields":
        """The object at `key`, wrapped likewise."""
        if key not in self._values:
            raise BundleError(f"{self.where} lacks {key!r}")
        return Fields(self._values[key], f"{self.where}: {key!r}")

    def optional_fields(self, key: str) -> "Fields":
        """The object at `key`, wrapped likewise; an empty one where it is missing or null."""
        return Fields(self._values.get(key) or {}, f"{self.where}: {key!r}")

    def optional_object(self, key: str, build: Callable[["Fields"], T]) -> T | None:
        """What `build` makes of the object at `key`; None where it is missing or null."""
        return None if self._values.get(key) is None else build(self.fields(key))

    def each(self, build: Callable[["Fields"], T]) -> dict[str, T]:
        """What `build` makes of every value, by key; each value must be an object."""
        return {key: build(Fields(value, f"{self.where}[{key!r}]")) for key, value in self._values.items()}

    def mapping(self, kind: type[T]) -> dict[str, T]:
        """The whole object, every value of type `kind`. Raises BundleError for one that is not."""
        return {key: _checked(value, kind, f"{self.where}[{key!r}]") for key, value in self._values.items()}

    def plain(self) -> dict[str, object]:
        """A copy of the whole object, unchecked."""
        return dict(self._values)


def _checked(value: object, kind: type[T], where: str) -> T:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return cast(T, float(value))
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise BundleError(f"{where} must be {_TYPE_NAMES.get(kind, 'an array')}, got {_shown(value)}")
    return value


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
