"""Writing a knowledge base's file: every document a transaction, so that whatever happens it holds whole documents."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ftool.search.chunks import DocumentCutter
from ftool.search.types import CutPassage, Document
from ftool_runtime.knowledge.errors import KnowledgeBaseError, damage, file_errors
from ftool_runtime.knowledge.schema import APPLICATION_ID, TABLES, VECTORS_A_ROW, Meta, read_meta
from ftool_runtime.knowledge.terms import index_text
from ftool_runtime.knowledge.vectors import STORED

Batch = tuple[
    Sequence[CutPassage], NDArray[np.float32] | None
]  # passages with their vectors, or none of these

_PASSAGE = """
INSERT INTO passages (id, document, start, "end", heading, gap, text, heading_terms, terms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_INDEX = """
INSERT INTO full_text (rowid, heading, terms) SELECT id, heading, terms FROM index_terms WHERE id BETWEEN ? AND ?
"""
_UNINDEX = """
INSERT INTO full_text (full_text, rowid, heading, terms) SELECT 'delete', id, heading, terms FROM index_terms
WHERE id IN (SELECT id FROM passages WHERE document = ?)
"""


class KnowledgeBaseWriter:
    """The file of a knowledge base, open for writing. A context manager."""

    def __init__(self, path: Path, busy_timeout_s: float = 60) -> None:
        """Open the file at `path`, or begin one.

        Raises KnowledgeBaseError where it is something else, damaged, locked or not to be written.
        """
        self.path = path
        if not path.parent.is_dir():
            raise KnowledgeBaseError(f"{path}: there is no folder {path.parent} to write it in")
        self._made = not path.exists()
        with file_errors(path):
            self._connection = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None)
            try:
                self.meta = self._open_meta()
            except BaseException:
                self._connection.close()
                raise

    def _open_meta(self) -> Meta | None:
        """What the file says of itself; None where it is new."""
        new = self._value("PRAGMA schema_version") == 0
        meta = None if new else read_meta(self._connection, self.path)
        self._check_whole()
        # Readers go on while a log is written to; a killed writer's is taken in by whoever opens the file next.
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        return meta

    def _check_whole(self) -> None:
        """Raise KnowledgeBaseError for a damaged file: what is unchanged in it is not read, and would seem sound."""
        # Table by table, for a check of all also has FTS5 go through its index: ten times as long with SQLite 3.54.
        tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0"
        for (table,) in self._connection.execute(tables).fetchall():
            (found, *_) = self._connection.execute(f'PRAGMA quick_check("{table}")').fetchone()
            if found != "ok":
                raise KnowledgeBaseError(f"{self.path}: {damage(found.splitlines()[-1])}")

    def create(self, meta: Meta) -> Meta:
        """Write the tables of a new knowledge base, and return `meta`. Raises KnowledgeBaseError."""
        with self._transaction(counted=False) as connection:
            for statement in _statements(TABLES):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.rows())
        self.meta = meta
        return meta

    def record(self, meta: Meta, **values: Any) -> Meta:
        """Change what the file says of itself, and return all of it. Raises KnowledgeBaseError."""
        with self._transaction() as connection:
            for key, value in values.items():
                connection.execute("UPDATE meta SET value = ? WHERE key = ?", (value, key))
        self.meta = replace(meta, **values)
        return self.meta

    def known(self, name: str) -> str | None:
        """The hash of the document `name`; None where there is none. Raises KnowledgeBaseError."""
        with file_errors(self.path):
            row = self._connection.execute("SELECT sha256 FROM documents WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def names(self, *, file: str | None = None) -> list[tuple[str, str]]:
        """The documents' names and files, of one file if asked for. Raises KnowledgeBaseError."""
        where, values = ("WHERE file = ?", (file,)) if file is not None else ("", ())
        with file_errors(self.path):
            return self._connection.execute(
                f"SELECT name, file FROM documents {where} ORDER BY name", values
            ).fetchall()

    def put(self, document: Document, cutter: DocumentCutter, batches: Iterable[Batch]) -> int:
        """Write a document in place of the one of its name, in one transaction.

        Args:
            document: its name, file and hash.
            cutter: whose passages the batches are; it is asked for the rest when they have ended.
            batches: its passages, in order, all with vectors or all without.

        Returns:
            How many passages it has.

        Raises:
            KnowledgeBaseError: the file is locked, damaged or can't grow; it holds what it did before.
            DocumentError: as the document's pieces; likewise.
        """
        with self._transaction() as connection:
            _delete(connection, document.name)
            row = (document.name, document.file, document.sha256)
            identity = connection.execute(
                "INSERT INTO documents (name, file, title, sha256, characters, tail) VALUES (?, ?, '', ?, 0, '')",
                row,
            ).lastrowid
            first = self._value("SELECT coalesce(max(id), 0) + 1 FROM passages")
            passage = first
            for passages, vectors in batches:
                _write_passages(connection, identity, passage, passages)
                if vectors is not None:
                    _write_vectors(connection, identity, passage, vectors)
                passage += len(passages)
            connection.execute(_INDEX, (first, passage - 1))
            connection.execute(
                "UPDATE documents SET title = ?, characters = ?, tail = ? WHERE id = ?",
                (cutter.title, cutter.characters, cutter.tail, identity),
            )
        return passage - first

    def delete(self, name: str) -> None:
        """Delete the document `name`, in a transaction. Raises KnowledgeBaseError."""
        with self._transaction() as connection:
            _delete(connection, name)

    def sizes(self) -> dict[str, int]:
        """How many documents and passages there are. Raises KnowledgeBaseError."""
        with file_errors(self.path):
            return {name: self._value(f"SELECT count(*) FROM {name}") for name in ("documents", "passages")}

    def tidy(self) -> None:
        """Join the parts of the full-text index, which makes asking faster. Raises KnowledgeBaseError."""
        with self._transaction(counted=False) as connection:
            connection.execute("INSERT INTO full_text (full_text) VALUES ('optimize')")

    def close(self) -> None:
        """Close the file. Where nobody else has it open, it is one file again, which can be copied as it is.

        A file that was made here and holds no knowledge base is removed.
        """
        unused = False
        with closing(self._connection) as connection:
            connection.execute("PRAGMA busy_timeout = 0")
            try:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                connection.execute("PRAGMA journal_mode = DELETE")
                unused = self._made and self._value("PRAGMA schema_version") == 0
            except sqlite3.OperationalError:
                pass  # somebody reads it: the log stays beside it until the last one closes it
        if unused:
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @contextmanager
    def _transaction(self, *, counted: bool = True) -> Iterator[sqlite3.Connection]:
        """All that the block writes, or nothing of it."""
        connection = self._connection
        with file_errors(self.path):
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                if counted:
                    connection.execute("UPDATE meta SET value = value + 1 WHERE key = 'changes'")
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # SQLite itself rolls back on a full disk
                    connection.execute("ROLLBACK")
                raise

    def _value(self, query: str) -> int:
        return int(self._connection.execute(query).fetchone()[0])


def new_meta(**values: Any) -> Meta:
    """What a knowledge base made now says of itself."""
    return Meta(created=datetime.now(UTC).isoformat(timespec="microseconds"), **values)


def _delete(connection: sqlite3.Connection, name: str) -> None:
    row = connection.execute("SELECT id FROM documents WHERE name = ?", (name,)).fetchone()
    if row is None:
        return
    connection.execute(_UNINDEX, row)
    for table in ("passages", "vectors"):
        connection.execute(f"DELETE FROM {table} WHERE document = ?", row)
    connection.execute("DELETE FROM documents WHERE id = ?", row)


def _write_passages(
    connection: sqlite3.Connection, document: int | None, first: int, passages: Sequence[CutPassage]
) -> None:
    rows = [
        (
            identity,
            document,
            passage.start,
            passage.start + len(passage.text),
            passage.heading,
            passage.gap,
            passage.text,
            index_text(passage.heading),
            index_text(passage.text),
        )
        for identity, passage in enumerate(passages, start=first)
    ]
    connection.executemany(_PASSAGE, rows)


def _write_vectors(
    connection: sqlite3.Connection, document: int | None, first: int, vectors: NDArray[np.float32]
) -> None:
    for start in range(0, len(vectors), VECTORS_A_ROW):
        stored = vectors[start : start + VECTORS_A_ROW].astype(STORED)
        connection.execute(
            "INSERT INTO vectors VALUES (?, ?, ?)", (first + start, document, stored.tobytes())
        )


def _statements(script: str) -> list[str]:
    return [statement for statement in script.split(";\n") if statement.strip()]
