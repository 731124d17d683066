"""Write a knowledge base's file, with one transaction per document, so that no document is ever incomplete."""

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ftool.search.chunks import DocumentCutter
from ftool.search.log import begin_log, merge_log
from ftool.search.types import CutPassage, Document
from ftool_runtime.knowledge.approximate import (
    APPROXIMATE_TABLES,
    PART_BYTES,
    ApproximateIndexError,
    Covered,
    read_covered,
    read_graph,
)
from ftool_runtime.knowledge.errors import KnowledgeBaseError, damage, file_errors
from ftool_runtime.knowledge.schema import APPLICATION_ID, TABLES, VECTORS_A_ROW, Meta, read_meta
from ftool_runtime.knowledge.terms import index_text
from ftool_runtime.knowledge.vectors import STORED, Block, read_blocks

# Passages with their vectors, float32 (passages, dimension), or None if there is no embedder.
Batch = tuple[Sequence[CutPassage], NDArray[np.float32] | None]


class BuiltGraph(NamedTuple):
    """An approximate index as it is stored: see ftool_runtime.knowledge.approximate."""

    graph: bytearray
    repeats: NDArray[np.int64]  # (repeats, 2)
    total: NDArray[np.float64]  # (dimension,)


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
    """A knowledge base's file that is open for writing; a context manager.

    Any method raises KnowledgeBaseError if the file is locked, damaged or can't be written.
    """

    def __init__(self, path: Path, busy_timeout_s: float = 60) -> None:
        """Open the file at `path`, or create it.

        Raises KnowledgeBaseError if the file is not a knowledge base, is damaged or locked, or can't be written.
        """
        self.path = path
        check_folder(path)
        self._made = not path.exists()
        with file_errors(path):
            self._connection = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None)
            try:
                self.meta = self._open_meta()
            except BaseException:
                self.close()
                raise

    def _open_meta(self) -> Meta | None:
        """Check the file, switch it to WAL mode, and return its metadata; None for a new file."""
        new = self._value("PRAGMA schema_version") == 0
        meta = None if new else read_meta(self._connection, self.path)
        self._check_whole()
        begin_log(self._connection)
        return meta

    def _check_whole(self) -> None:
        """Raise KnowledgeBaseError if the file is damaged anywhere, even in documents that indexing would not read."""
        # One table at a time: a check of all tables also checks FTS5's index, ten times as slow with SQLite 3.54.
        tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0"
        for (table,) in self._connection.execute(tables).fetchall():
            (found, *_) = self._connection.execute(f'PRAGMA quick_check("{table}")').fetchone()
            if found != "ok":
                raise KnowledgeBaseError(f"{self.path}: {damage(found.splitlines()[-1])}")

    def create(self, meta: Meta) -> Meta:
        """Create the tables of a new knowledge base with the metadata `meta`, and return `meta`."""
        with self._transaction(counted=False) as connection:
            for statement in _statements(TABLES):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.rows())
        self.meta = meta
        return meta

    def record(self, meta: Meta, **values: Any) -> Meta:
        """Set `values` in the file's metadata, whose current content is `meta`, and return the changed metadata."""
        with self._transaction() as connection:
            for key, value in values.items():
                connection.execute("UPDATE meta SET value = ? WHERE key = ?", (value, key))
        self.meta = replace(meta, **values)
        return self.meta

    def known(self, name: str) -> str | None:
        """Return the recorded sha256 of the document `name`; None if there is no such document."""
        with file_errors(self.path):
            row = self._connection.execute("SELECT sha256 FROM documents WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def names(self, *, file: str | None = None) -> list[tuple[str, str]]:
        """Return (name, file) of each document, sorted by name; with `file`, only of the documents in this file."""
        where, values = ("WHERE file = ?", (file,)) if file is not None else ("", ())
        with file_errors(self.path):
            return self._connection.execute(
                f"SELECT name, file FROM documents {where} ORDER BY name", values
            ).fetchall()

    def put(self, document: Document, cutter: DocumentCutter, batches: Iterable[Batch]) -> int:
        """Write a document in one transaction, replacing an earlier document with the same name.

        Args:
            document: the document, of which only name, file and hash are used.
            cutter: the cutter of the passages; its title, length and tail, known after the last batch, are written too.
            batches: the passages, in order; all of them have vectors, or none.

        Returns:
            The number of passages.

        Raises:
            KnowledgeBaseError: the file is locked, damaged or can't grow; the file is left unchanged.
            DocumentError: the document can't be read; the file is left unchanged.
        """
        with self._transaction() as connection:
            _delete(connection, document.name)
            row = (document.name, document.file, document.sha256)
            identity = connection.execute(
                "INSERT INTO documents (name, file, title, sha256, characters, tail) VALUES (?, ?, '', ?, 0, '')",
                row,
            ).lastrowid
            first = self._value("SELECT coalesce(max(id), 0) + 1 FROM passages")
            if covered := read_covered(connection):
                first = max(first, covered.last + 1)  # the index still knows the ids of deleted passages
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
        """Delete the document `name`, if it exists, in one transaction."""
        with self._transaction() as connection:
            _delete(connection, name)

    def sizes(self) -> dict[str, int]:
        """Return the numbers of `documents` and `passages` in the file."""
        with file_errors(self.path):
            return {name: self._value(f"SELECT count(*) FROM {name}") for name in ("documents", "passages")}

    def covered(self) -> Covered | None:
        """Return what the approximate index covers; None if there is none."""
        with file_errors(self.path):
            return read_covered(self._connection)

    def has_whole_approximate(self, dimension: int) -> bool:
        """Return whether there is an approximate index of vectors of length `dimension`, and it is not damaged."""
        with file_errors(self.path):
            try:
                covered = read_covered(self._connection)
                return covered is not None and bool(read_graph(self._connection, covered, dimension))
            except ApproximateIndexError:
                return False

    def passages_after(self, last: int) -> int:
        """Return the number of passages with ids above `last`."""
        with file_errors(self.path):
            (count,) = self._connection.execute(
                "SELECT count(*) FROM passages WHERE id > ?", (last,)
            ).fetchone()
        return int(count)

    def blocks(self, dimension: int) -> Iterator[Block]:
        """Yield the vectors of all passages in blocks."""
        with file_errors(self.path):
            yield from read_blocks(self._connection, dimension)

    def put_approximate(self, build: Callable[[], BuiltGraph]) -> None:
        """Replace the approximate index, in one transaction, by what `build` returns.

        `build` is called in the transaction: until it has returned, other programs can read the file, but not write.
        """
        with self._transaction() as connection:
            graph, repeats, total = build()
            _drop_approximate(connection)
            for statement in _statements(APPROXIMATE_TABLES):
                connection.execute(statement)
            last = self._value("SELECT coalesce(max(id), 0) FROM passages")
            passages = self._value("SELECT count(*) FROM passages")
            graph += repeats.tobytes()
            digest = hashlib.sha256(graph).hexdigest()
            row = (digest, len(graph), last, passages, passages, len(repeats), total.tobytes())
            connection.execute("INSERT INTO approximate VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            for start in range(0, len(graph), PART_BYTES):
                part = (memoryview(graph)[start : start + PART_BYTES],)
                connection.execute("INSERT INTO approximate_parts (data) VALUES (?)", part)

    def drop_approximate(self) -> None:
        """Delete the approximate index, if there is one, and give its space back to the file system."""
        with file_errors(self.path):
            if not self._value("SELECT count(*) FROM sqlite_master WHERE name = 'approximate'"):
                return
        with self._transaction() as connection:
            _drop_approximate(connection)
        with file_errors(self.path):
            self._connection.execute("VACUUM")

    def tidy(self) -> None:
        """Merge the segments of the full-text index, which makes searches faster."""
        with self._transaction(counted=False) as connection:
            connection.execute("INSERT INTO full_text (full_text) VALUES ('optimize')")

    def close(self) -> None:
        """Close the file.

        Unless another program has the file open, the write-ahead log is merged into the file, which can then be copied.
        If this object created the file and the file is still empty, it is deleted.
        """
        empty = False
        with suppress(sqlite3.DatabaseError):  # damaged, or not a database
            empty = merge_log(self._connection, self.path)
        if self._made and empty:
            for suffix in ("", "-wal", "-shm", "-journal"):
                Path(f"{self.path}{suffix}").unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @contextmanager
    def _transaction(self, *, counted: bool = True) -> Iterator[sqlite3.Connection]:
        """Run the block in a transaction, which is committed at the end, or rolled back if the block raises.

        If `counted` is true, the transaction increases the counter `changes` in the metadata.
        """
        connection = self._connection
        with file_errors(self.path):
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                if counted:
                    connection.execute("UPDATE meta SET value = value + 1 WHERE key = 'changes'")
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # SQLite has rolled back by itself if the disk is full
                    connection.execute("ROLLBACK")
                raise

    def _value(self, query: str) -> int:
        return int(self._connection.execute(query).fetchone()[0])


def check_folder(path: Path) -> None:
    """Raise KnowledgeBaseError if the folder of the knowledge base at `path` does not exist."""
    if not path.parent.is_dir():
        raise KnowledgeBaseError(f"{path}: the folder {path.parent} does not exist; create it first")


def new_meta(**values: Any) -> Meta:
    """Return the metadata of a new knowledge base: `values`, and the current time as its time of creation."""
    return Meta(created=datetime.now(UTC).isoformat(timespec="microseconds"), **values)


def _delete(connection: sqlite3.Connection, name: str) -> None:
    row = connection.execute("SELECT id FROM documents WHERE name = ?", (name,)).fetchone()
    if row is None:
        return
    connection.execute(_UNINDEX, row)
    _uncover(connection, row[0])
    for table in ("passages", "vectors"):
        connection.execute(f"DELETE FROM {table} WHERE document = ?", row)
    connection.execute("DELETE FROM documents WHERE id = ?", row)


def _uncover(connection: sqlite3.Connection, document: int) -> None:
    """Take the passages of `document` out of the counts and sums of the approximate index."""
    covered = read_covered(connection)
    if covered is None:
        return
    rows = connection.execute(
        "SELECT vectors FROM vectors WHERE document = ? AND first <= ?", (document, covered.last)
    )
    gone = np.frombuffer(b"".join(vectors for (vectors,) in rows), STORED).reshape(-1, len(covered.total))
    total = covered.total - gone.sum(
        axis=0, dtype=np.float64
    )  # exact: float16 values are multiples of 2**-24
    connection.execute(
        "UPDATE approximate SET passages = passages - ?, total = ?", (len(gone), total.tobytes())
    )


def _drop_approximate(connection: sqlite3.Connection) -> None:
    for table in ("approximate", "approximate_parts"):
        connection.execute(f"DROP TABLE IF EXISTS {table}")


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
