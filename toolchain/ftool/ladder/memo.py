"""Results kept on disk with what they depend on, so that an interrupted export continues with what it has finished."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ftool.workspace import write_json


def always(_: Mapping[str, Any]) -> bool:
    """Accept every stored result."""
    return True


def remembered(
    file: Path,
    key: Mapping[str, Any],
    make: Callable[[], Mapping[str, Any]],
    intact: Callable[[Mapping[str, Any]], bool] = always,
) -> dict[str, Any]:
    """Return the result in the JSON file `file`, or the result of `make`, which is then written to it.

    Args:
        file: holds the result and its key; it is written whole or not at all.
        key: everything that the result depends on, as plain JSON. A result that was stored with another key, or that
            can't be read, is made again.
        make: computes the result as plain JSON.
        intact: whether what a stored result refers to, such as a folder, is still as it was.
    """
    known = json.loads(json.dumps(key))
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        if stored["key"] == known and intact(stored["result"]):
            return dict(stored["result"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        pass
    result = json.loads(json.dumps(make(), allow_nan=False))
    write_json(file, {"key": known, "result": result})
    return dict(result)
