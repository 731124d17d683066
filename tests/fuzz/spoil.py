"""Changes to a valid input that keep its form: what a byte more or less would hardly ever reach behind a parser."""

import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from random import Random
from typing import Any, Final

Spoil = Callable[[bytes, Random], bytes]

# Values that programs read differently, or forget.
_ODD: Final[Sequence[Any]] = (
    None, True, False, 0, -1, 1, 2, 7, 1.5, -0.0, 1e-300, 1e308, 2**31 - 1, 2**31, 2**32, 2**63, -(2**63),
    2**64, 10**30, float("inf"), float("nan"), "", " ", "a", "0", "\0", "\n", "\r", "\x1b[31m", "\u202e",
    "\u2028", "\ud800", "\U0001f3fb", "\ufeff", "x" * 300, "../x", "/dev/zero", [], {}, [[]], [None], [0], [""],
    {"": ""}, {"a": {"a": {}}}, [[0, 1]], [1, 2, 3],
)  # fmt: skip
_ODD_TEXTS: Final = (
    "", "\0", "\r", "\n", "\r\n", "\n\n", "\t", " ", ",", ";", "|", '"', '""', "'", "\\", "\ufeff", "\u2028",
    "\u0085", "\x0b", "\x1b", "é", "漢", "\u202e", "\U0001f468\u200d\U0001f469", "O", "B-per", "I-",
    "-DOCSTART-", "# ", "__label__", "sep=;\n", "---\n", "```", "~~~", "# a\n", "> ", "- ", "1. ",
    "| a | b |\n|---|---|\n", "[a]: b", "**", "<", ">", "&", "&#x110000;", "&#0;", "<!--", "-->", "<![CDATA[",
    "]]>", "<table>", "</p>", "<h1>", "<pre>", "<title>", "<script>", '<p hidden="">', "<meta charset=utf-16>",
    "<meta charset=utf-7>", "{", "}", "[", "]", "null", "{{", "}}", "{%", "%}", "nan", "1e999", "-",
)  # fmt: skip
_MOST_COPIES: Final = 40


def spoil_bytes(content: bytes, random: Random) -> bytes:
    """Flip, insert, delete or repeat a run of bytes."""
    start = random.randint(0, len(content))
    end = min(len(content), start + random.choice((1, 1, 2, 4, 16, 64)))
    part = content[start:end]
    match random.randrange(4):
        case 0:
            part = bytes(byte ^ (1 << random.randrange(8)) for byte in part)
        case 1:
            part += random.randbytes(random.choice((1, 2, 4)))
        case 2:
            part = b""
        case 3:
            part *= random.randint(2, _MOST_COPIES)
    return content[:start] + part + content[end:]


def spoil_text(content: bytes, random: Random) -> bytes:
    """Insert, delete, repeat or move a part of a text: an odd text, a word or a line."""
    text = content.decode("utf-8", "surrogateescape")
    between = random.choice(("\n", " ", ""))
    parts = (text.split(between) if between else list(text)) or [""]
    place = random.randrange(len(parts) + 1)
    match random.randrange(5):
        case 0 | 1:
            parts.insert(place, random.choice(_ODD_TEXTS))
        case 2:
            parts[place : place + 1] = []
        case 3:
            parts[place : place + 1] *= random.randint(2, _MOST_COPIES)
        case 4:
            parts.insert(place, parts.pop(random.randrange(len(parts))))
    return between.join(parts).encode("utf-8", "surrogateescape")


def spoil_json(content: bytes, random: Random) -> bytes:
    """Change a value or a key of a JSON text; a text that is not JSON as `spoil_text` does."""
    try:
        value = json.loads(content)
        changed = _changed(value, random, random.randint(0, 6))
        return json.dumps(changed, ensure_ascii=random.random() < 0.8).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return spoil_text(content, random)


def spoil_lines(content: bytes, random: Random) -> bytes:
    """Change one of several lines of JSON as `spoil_json` does."""
    lines = content.split(b"\n")
    place = random.randrange(len(lines))
    return b"\n".join([*lines[:place], spoil_json(lines[place], random), *lines[place + 1 :]])


def spoil_database(content: bytes, random: Random) -> bytes:
    """Change a cell, a row, a table or the schema of an SQLite database; any other content as `spoil_bytes` does."""
    with closing(sqlite3.connect(":memory:")) as connection:
        try:
            connection.deserialize(content)
            statement, values = _statement(connection, random)
            with suppress(sqlite3.Error, UnicodeError, OverflowError):
                connection.executescript(statement) if values is None else connection.execute(
                    statement, values
                )
                connection.commit()
            return connection.serialize()
        except (sqlite3.Error, UnicodeError, MemoryError):
            return spoil_bytes(content, random)


def _statement(connection: sqlite3.Connection, random: Random) -> tuple[str, tuple[Any, ...] | None]:
    """Return a statement that changes something, with its values; None for a script."""
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    name, sql = random.choice(rows)
    table = f'"{name}"'
    match random.randrange(7):
        case 0 | 1 | 2:
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")] or ["rowid"]
            value = random.choice((*_ODD, b"", b"\0" * 7, b"\xff" * 128))
            cell = str(value) if isinstance(value, list | dict) else value
            return f'UPDATE {table} SET "{random.choice(columns)}" = ? WHERE rowid % 2 = ?', (
                cell,
                random.randrange(2),
            )
        case 3:
            return f"DELETE FROM {table} WHERE rowid % 3 = ?", (random.randrange(3),)
        case 4:
            return f"DROP TABLE {table}", ()
        case 5:
            spoilt = spoil_text(str(sql).encode("utf-8", "replace"), random).decode("utf-8", "replace")
            quoted = spoilt.replace("'", "''").replace("\0", "")
            script = f"UPDATE sqlite_master SET sql = '{quoted}' WHERE name = '{name}'"
            return f"PRAGMA writable_schema = ON; {script}; PRAGMA writable_schema = OFF;", None
        case _:
            other, _ = random.choice(rows)
            return f'DROP TABLE {table}; ALTER TABLE "{other}" RENAME TO {table};', None


def _changed(value: Any, random: Random, depth: int) -> Any:
    """Return a JSON value with one change, at most `depth` levels below."""
    if depth and isinstance(value, dict) and value:
        key = random.choice(list(value))
        if random.random() < 0.1:
            odd = random.choice([one for one in _ODD if isinstance(one, str)])
            return {odd if name == key else name: inner for name, inner in value.items()}
        return {**value, key: _changed(value[key], random, depth - 1)}
    if depth and isinstance(value, list) and value:
        place = random.randrange(len(value))
        return [*value[:place], _changed(value[place], random, depth - 1), *value[place + 1 :]]
    match random.randrange(9):
        case 0 if isinstance(value, str):
            return spoil_text(value.encode("utf-8", "replace"), random).decode("utf-8", "replace")
        case 1 if isinstance(value, int | float):
            return random.choice((value + 1, value - 1, -value, value * 1_000, value / 2, str(value)))
        case 2 if isinstance(value, dict) and value:
            return {key: inner for key, inner in value.items() if key != random.choice(list(value))}
        case 3 if isinstance(value, list) and value:
            return value * random.randint(2, _MOST_COPIES)
        case 4 if isinstance(value, list) and value:
            return value[: random.randrange(len(value))]
        case 5:
            return [value] * random.choice((1, 1, 2, _MOST_COPIES))
        case 6:
            return {"data": value}
    return random.choice(_ODD)
