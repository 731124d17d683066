"""Kinds of spoiled knowledge bases, each with what `open`, `search` and `ask` make of it.

`python -m tests.helpers.spoiled_bundles` writes the table of docs/reliability.md.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

Open = Literal["refuses", "opens"]
Result = Literal["same", "other", "refuses", "-"]
Change = Callable[[Path], object]


@dataclass(frozen=True)
class SpoiledBase:
    """A kind of spoiled knowledge base.

    Attributes:
        change: what happens to the file, in words.
        apply: changes the file at a path.
        open: whether `KnowledgeBase.open` refuses it with a KnowledgeBaseError.
        search: whether a search gives the same passages as before, others, or an FtoolError; "-" if nothing is open.
        ask: the same of `ask`.
    """

    change: str
    apply: Change
    open: Open = "refuses"
    search: Result = "-"
    ask: Result = "-"


def _sql(*statements: str) -> Change:
    def apply(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(";\n".join(["PRAGMA writable_schema = ON", *statements]))
            connection.commit()

    return apply


def _cut(share: float) -> Change:
    return lambda path: os.truncate(path, int(path.stat().st_size * share))


def _bytes_at(start: int, new: bytes) -> Change:
    def apply(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[start : start + len(new)] = new
        path.write_bytes(content)

    return apply


def _instead(make: Callable[[Path], object]) -> Change:
    def apply(path: Path) -> None:
        path.unlink()
        make(path)

    return apply


def _beside(ending: str) -> Change:
    return lambda path: path.with_name(path.name + ending).write_bytes(b"\xff" * 5000)


_ENDLESS: Final = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i"
_PASSAGES: Final = (
    'CREATE TABLE passages (id INTEGER PRIMARY KEY, document INTEGER, start INTEGER, "end" INTEGER, '
    "heading TEXT, gap TEXT, {text}, heading_terms TEXT, terms TEXT)"
)
_GENERATED: Final = _PASSAGES.format(text="text TEXT GENERATED ALWAYS AS (hex(zeroblob(400000000)))")


def _defined_as(table: str, sql: str) -> Change:
    return _sql(f"UPDATE sqlite_master SET sql = '{sql}' WHERE name = '{table}'")


def _not_numbers(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for first, vectors in connection.execute("SELECT first, vectors FROM vectors").fetchall():
            nan = b"\x00\x7e" * (len(vectors) // 2)
            connection.execute("UPDATE vectors SET vectors = ? WHERE first = ?", (nan, first))
        connection.commit()


def _meta(key: str, value: str) -> Change:
    return _sql(f"UPDATE meta SET value = {value} WHERE key = '{key}'")


def _row(change: str, apply: Change, *verdicts: str) -> SpoiledBase:
    return SpoiledBase(change, apply, *verdicts)  # type: ignore[arg-type]


_DAMAGED: Final = ("opens", "refuses", "refuses")
_OTHER: Final = ("opens", "other", "other")
_SAME: Final = ("opens", "same", "same")

SPOILED_BASES: Final = (
    _row("is missing", Path.unlink),
    _row("is empty", _cut(0)),
    _row("is a text", lambda path: path.write_text("not a database, " * 1000)),
    _row("is a folder", _instead(Path.mkdir)),
    _row("is a named pipe", _instead(os.mkfifo)),
    _row("is a device", _instead(lambda path: path.symlink_to("/dev/zero"))),
    _row("is a link to itself", _instead(lambda path: path.symlink_to(path.name))),
    _row("is cut in half", _cut(0.5)),
    _row("ends after its header", _cut(0.001)),
    _row("has other first bytes", _bytes_at(0, b"SQLite format 4\x00")),
    _row("has a page size of 0 in its header", _bytes_at(16, b"\x00\x00")),
    _row("has no mark of ftool", _sql("PRAGMA application_id = 1")),
    _row("is another program's", _sql("PRAGMA application_id = 0")),
    _row("has a journal of garbage beside it", _beside("-journal"), *_SAME),
    _row("has a log of garbage beside it", _beside("-wal"), *_SAME),
    _row("has schema 99", _meta("schema", "99")),
    _row("has a text as the number of its schema", _meta("schema", "'two'")),
    _row("has vectors of length 0", _meta("dimension", "0")),
    _row("has vectors of length 2^62", _meta("dimension", "4611686018427387904"), *_DAMAGED),
    _row("has vectors of half their length", _meta("dimension", "32"), *_DAMAGED),
    _row("has another embedder's fingerprint", _meta("fingerprint", "'other'")),
    _row("has bytes for a setting", _meta("created", "x'ff00'")),
    _row("lacks a setting", _sql("DELETE FROM meta WHERE key = 'passage_tokens'")),
    _row("lacks the table meta", _sql("DROP TABLE meta")),
    _row("has a view that ftool did not write", _sql("CREATE VIEW mine AS SELECT 1")),
    _row(
        "has an endless view in place of its own",
        _sql(
            "DROP VIEW index_terms",
            f"CREATE VIEW index_terms AS {_ENDLESS} AS id, 'a' AS heading, 'b' AS terms FROM n",
        ),
    ),
    _row("has a trigger", _sql("CREATE TRIGGER mine AFTER INSERT ON meta BEGIN DELETE FROM passages; END")),
    _row("has a column that is computed, of 800 MB", _defined_as("passages", _GENERATED)),
    _row("lacks the table passages", _sql("DROP TABLE passages"), *_DAMAGED),
    _row("lacks the table documents", _sql("DROP TABLE documents"), *_DAMAGED),
    _row("lacks the table vectors", _sql("DROP TABLE vectors"), *_DAMAGED),
    _row("lacks the index of words", _sql("DROP TABLE full_text"), *_DAMAGED),
    _row(
        "has garbage in the index of words",
        _sql("UPDATE full_text_data SET block = x'ffffffffffffffff'"),
    ),
    _row(
        "has an index of words that is another table",
        _sql("DROP TABLE full_text", "CREATE TABLE full_text (heading, terms)"),
        *_DAMAGED,
    ),
    _row("has bytes for a passage", _sql("UPDATE passages SET text = x'ff00ff'"), *_DAMAGED),
    _row(
        "has bytes that are not UTF-8 as a passage's text",
        _sql("UPDATE passages SET text = CAST(x'ff00ff' AS TEXT)"),
        *_DAMAGED,
    ),
    _row("has another text for a passage", _sql("UPDATE passages SET text = 'changed'"), *_OTHER),
    _row("has bytes for a heading", _sql("UPDATE passages SET heading = x'01'"), *_DAMAGED),
    _row("has negative places of passages", _sql('UPDATE passages SET start = -5, "end" = -9'), *_OTHER),
    _row(
        "has places of passages beyond any text",
        _sql('UPDATE passages SET "end" = 9000000000000000000'),
        *_OTHER,
    ),
    _row("has text for a place of a passage", _sql("UPDATE passages SET start = 'x'"), *_DAMAGED),
    _row("has passages of a document that is missing", _sql("DELETE FROM documents"), *_DAMAGED),
    _row(
        "has bytes for the name of a document",
        _sql("UPDATE documents SET name = CAST(id AS BLOB)"),
        *_DAMAGED,
    ),
    _row("has no passages but their words", _sql("DELETE FROM passages"), *_DAMAGED),
    _row("has vectors that are cut", _sql("UPDATE vectors SET vectors = substr(vectors, 1, 7)"), *_DAMAGED),
    _row("has no bytes for vectors", _sql("UPDATE vectors SET vectors = x''"), *_OTHER),
    _row("has text for vectors", _sql("UPDATE vectors SET vectors = 'many numbers'"), *_DAMAGED),
    _row("has vectors that are not numbers", _not_numbers, *_DAMAGED),
    _row(
        "has vectors of passages that are missing",
        _sql("UPDATE vectors SET first = first + 1000000"),
        *_DAMAGED,
    ),
    _row(
        "has vectors at the last number",
        _sql("UPDATE vectors SET first = 9223372036854775807 WHERE first = (SELECT max(first) FROM vectors)"),
        *_SAME,
    ),
    _row("has no vectors", _sql("DELETE FROM vectors"), *_OTHER),
    _row("has more tables", _sql("CREATE TABLE more (a)"), *_SAME),
)


def bases_table() -> str:
    """Return a table in Markdown."""
    lines = ["| change of `kb.db` | `open` | `search` | `ask` |", "|---|---|---|---|"]
    lines += [f"| {one.change} | {one.open} | {one.search} | {one.ask} |" for one in SPOILED_BASES]
    return "\n".join(lines) + "\n"
