"""Fixtures that write knowledge bases with plain SQL, because these tests run without the toolchain."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from tests.helpers.finding_reader import FindingReader
from tests.helpers.word_embedder import WordEmbedder

from ftool_runtime.knowledge.schema import APPLICATION_ID, TABLES, Meta
from ftool_runtime.knowledge.terms import index_text
from ftool_runtime.knowledge.vectors import STORED

META = Meta(created="2026-01-01T00:00:00+00:00", passage_tokens=200, overlap_tokens=40)

Writer = Callable[..., Path]


@pytest.fixture
def write_base(tmp_path: Path) -> Writer:
    """Writes a knowledge base of documents, given as lists of passages with two characters between them."""

    def write(
        documents: Mapping[str, Sequence[str]],
        embedder: WordEmbedder | None = None,
        name: str = "kb.db",
        meta: Meta = META,
        rows_together: int = 256,
    ) -> Path:
        if embedder is not None:
            meta = replace(meta, fingerprint=embedder.fingerprint, dimension=embedder.dimension)
        path = tmp_path / name
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(TABLES)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.rows())
            for document, (title, passages) in enumerate(documents.items(), start=1):
                write_document(connection, document, title, passages, embedder, rows_together)
            connection.commit()
        return path

    return write


def write_document(
    connection: sqlite3.Connection,
    document: int,
    name: str,
    passages: Sequence[str],
    embedder: WordEmbedder | None,
    rows_together: int,
) -> None:
    connection.execute("INSERT INTO documents VALUES (?, ?, ?, '', '', 0, '')", (document, name, name))
    (first,) = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM passages").fetchone()
    start = 0
    for number, text in enumerate(passages):
        row = (
            first + number,
            document,
            start,
            start + len(text),
            "\n\n" if number else "",
            text,
            index_text(text),
        )
        connection.execute("INSERT INTO passages VALUES (?, ?, ?, ?, '', ?, ?, NULL, ?)", row)
        connection.execute(
            "INSERT INTO full_text (rowid, heading, terms) SELECT * FROM index_terms WHERE id = ?",
            (first + number,),
        )
        start += len(text) + 2
    if embedder is not None:
        vectors = embedder(passages, kind="passage").astype(STORED)
        for at in range(0, len(passages), rows_together):
            part = vectors[at : at + rows_together].tobytes()
            connection.execute("INSERT INTO vectors VALUES (?, ?, ?)", (first + at, document, part))


@pytest.fixture
def embedder() -> WordEmbedder:
    return WordEmbedder()


@pytest.fixture
def other_embedder() -> WordEmbedder:
    return WordEmbedder("another model")


@pytest.fixture
def finding_reader() -> type[FindingReader]:
    return FindingReader


@pytest.fixture
def meta() -> Meta:
    return META
