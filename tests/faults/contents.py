"""The content of a folder in a form that two runs can be compared by, without times, dates and sizes of memory."""

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

Content = dict[str, Any]  # by file, and by place in a JSON file

_TIMES = ("seconds", "_ms", "_per_second", "memory_mb", "created", "at")


def content(place: Path) -> Content:
    """Return the content of a file, or of the files below a folder; empty if there is nothing."""
    files = [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file())
    return {
        key: value
        for path in files
        for key, value in _content(path, path.relative_to(place.parent).as_posix())
    }


def names(place: Path) -> set[str]:
    """Return the names of all files below a folder, relative to it."""
    return {path.relative_to(place).as_posix() for path in place.rglob("*") if not path.is_dir()}


def documents(base: Path) -> dict[str, str]:
    """Return the texts of a knowledge base by document, after a check of its tables and its index of words.

    Empty if there is no file or it has no tables. Raises sqlite3.DatabaseError or AssertionError for damage.
    """
    if not base.exists():
        return {}
    with closing(sqlite3.connect(base)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
            return {}
        connection.execute("INSERT INTO full_text (full_text, rank) VALUES ('integrity-check', 1)")
        connection.rollback()
        rows = connection.execute(
            "SELECT name, text FROM passages JOIN documents ON documents.id = document ORDER BY passages.id"
        ).fetchall()
    found: dict[str, str] = {}
    for name, text in rows:
        found[name] = found.get(name, "") + text
    return found


def _content(path: Path, name: str) -> Iterator[tuple[str, Any]]:
    if path.suffix == ".json":
        yield from _leaves(name, json.loads(path.read_text(encoding="utf-8")))
    elif path.suffix == ".db":
        yield from _tables(path, name)
    else:
        yield name, hashlib.sha256(path.read_bytes()).hexdigest()


def _leaves(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if not str(key).endswith(_TIMES):
                yield from _leaves(f"{place}:{key}", inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _leaves(f"{place}:{index}", inner)
    else:
        yield place, value


def _tables(path: Path, name: str) -> Iterator[tuple[str, Any]]:
    yield f"{name}:texts", documents(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE VIRTUAL TABLE temp.words USING fts5vocab(main, full_text, row)")
        yield f"{name}:words", connection.execute("SELECT term, doc, cnt FROM words").fetchall()
        yield (
            f"{name}:vectors",
            connection.execute(
                "SELECT name, hex(vectors) FROM vectors JOIN documents ON documents.id = document ORDER BY name, first"
            ).fetchall(),
        )
