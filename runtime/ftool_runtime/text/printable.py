"""Print text that came from data: control characters are shown as escapes, so that no text commands a terminal.

Escaped are the C0 and C1 control characters except tab and line feed, DEL, the characters that change the direction of
the text around them (U+202A to U+202E and U+2066 to U+2069), which can make a text look like another, and halves of
surrogate pairs, which no encoding can write.
"""

import json
import re
from typing import Any, Final, TextIO

_COMMANDS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """Return `text` with control characters as `\\x1b` or `\\u202e`, for a person to read."""
    return text if text.isascii() and text.isprintable() else _COMMANDS.sub(_escaped, text)


def json_text(value: Any, *, indent: int | None = None, allow_nan: bool = True) -> str:
    """Return a value as JSON with readable letters of all scripts; control characters are `\\u` escapes.

    Raises ValueError for nan or infinity unless `allow_nan`.
    """
    text = json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=allow_nan)
    return text if text.isascii() and "\x7f" not in text else _COMMANDS.sub(_json_escaped, text)


def for_stream(text: str, out: TextIO) -> str:
    """Return `text` as it should be written to `out`: `printable` on a terminal, unchanged in a file or pipe."""
    return printable(text) if out.isatty() else text


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _json_escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
