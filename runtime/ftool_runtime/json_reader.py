"""Read JSON from files that may be damaged or hostile: whatever is wrong with them is a JsonError."""

import json
import math
from collections.abc import Sequence
from typing import Any, Final

from ftool_runtime.schema import join

MOST_LEVELS: Final = (
    64  # of lists and objects inside each other; what reads the values then needs no limits of its own
)
_DIGITS: Final = 20  # of a whole number in 64 bits, with its sign
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1


class JsonError(ValueError):
    """Raised for a text that is not JSON, or holds values that no program can rely on. The message is one line."""


class _NumberTooLong:
    """Stands for a whole number beyond 64 bits."""


class _KeyTwice(dict[str, Any]):
    """Stands for an object with a key that occurs twice, of which parsers keep either one."""

    key: str


def read_json(content: bytes | str, *, strict: bool = True, long_integers: bool = False) -> Any:
    """Return the value of a JSON text.

    Args:
        content: the text, or its bytes in UTF-8.
        strict: whether to refuse values that JSON's grammar allows but that programs read differently or not at all:
            more than 64 levels of lists and objects, whole numbers beyond 64 bits, numbers beyond float64 (and NaN and
            Infinity, which are not JSON), keys that occur twice, and strings with half of a surrogate pair. True for
            files of a bundle; False for rows of a user's data, whose readers check the values that they use; only
            more than 64 levels are then refused.
        long_integers: whether a strict reader takes whole numbers beyond 64 bits all the same. True for
            tokenizer_config.json, where transformers writes 1000000000000000019884624838656 for a tokenizer that knows
            no longest text.

    Raises:
        JsonError: the content is not UTF-8 or not JSON, at the line and column in the message; or a value is refused,
            whose path in the file the message gives, such as `input.max_length`.
    """
    hooks: dict[str, Any] = {"object_pairs_hook": _object} if strict else {}
    if strict and not long_integers:
        hooks["parse_int"] = _whole
    try:
        value = json.loads(content if isinstance(content, str) else content.decode("utf-8"), **hooks)
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise JsonError(f"is not UTF-8: byte {error.start + 1} is 0x{byte:02x}") from error
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if error.lineno > 1 else ""
        raise JsonError(f"is not JSON: {error.msg} at {line}column {error.colno}") from error
    except RecursionError as error:
        raise JsonError("is JSON that can't be read: lists or objects are nested too deeply") from error
    except ValueError as error:  # a number of more digits than Python converts
        raise JsonError(f"is JSON that can't be read: {error}") from error
    if strict and (found := _fault(value, MOST_LEVELS)) is not None:
        place, problem = found
        raise JsonError(f"is JSON that can't be used: {_path(place)} {problem}")
    if not strict and is_too_deep(value):
        raise JsonError(f"is JSON that can't be used: it is nested more than {MOST_LEVELS} levels deep")
    return value


def is_too_deep(value: Any) -> bool:
    """Whether a JSON value has more than 64 levels of lists and objects, so that a recursive reader might fail."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MOST_LEVELS):
        if not level:
            return False
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
    return bool(level)


def _whole(digits: str) -> object:
    in_64_bits = len(digits) <= _DIGITS and _SMALLEST <= int(digits) <= _LARGEST
    return int(digits) if in_64_bits else _NumberTooLong()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) == len(pairs):
        return values
    marked = _KeyTwice(values)
    keys = [key for key, _ in pairs]
    marked.key = next(key for key in keys if keys.count(key) > 1)
    return marked


def _fault(value: Any, levels: int) -> tuple[tuple[str | int, ...], str] | None:
    """Return the place of the first value to refuse and what is wrong with it; None if there is none.

    `levels` is the number of levels that `value` may still have. The place holds keys and positions.
    """
    match value:
        case str():
            return None if _is_unicode(value) else ((), "holds half of a surrogate pair (\\ud800 to \\udfff)")
        case dict() | list() if levels == 0:
            return (), f"is nested more than {MOST_LEVELS} levels deep"
        case _KeyTwice():
            return (), f"holds the key {value.key!r} twice"
        case dict():
            for key, each in value.items():
                if (found := _fault(key, levels) or _fault(each, levels - 1)) is not None:
                    return (key, *found[0]), found[1]
        case list():
            for place, each in enumerate(value):
                if (found := _fault(each, levels - 1)) is not None:
                    return (place, *found[0]), found[1]
        case float():
            return None if math.isfinite(value) else ((), "is not a finite number, or beyond 1.8e308")
        case _NumberTooLong():
            return (), "is a whole number beyond 64 bits"
    return None


def _is_unicode(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _path(place: Sequence[str | int]) -> str:
    """Return a place as text, such as `input.names[2]`; "the content" for the whole file."""
    path = ""
    for part in place:
        path = f"{path}[{part}]" if isinstance(part, int) else join(path, part)
    return path or "the content"
