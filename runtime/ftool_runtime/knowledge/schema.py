"""The tables of a knowledge base's file, and what its `meta` table says of it.

passages       text with its place in the document as shown: characters `start` to `end`; `gap` is the white space
               between the passage before and this one, so that a document can be put together again
full_text      FTS5 over `index_terms`, which has what terms.py makes of a text where that differs from it
vectors        one row for up to VECTORS_A_ROW passages with ids in a row: float16 (passages, dimension), row by row
meta           what the file is; `changes` counts the transactions that wrote to it
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ftool_runtime.knowledge.errors import KnowledgeBaseError
from ftool_runtime.knowledge.terms import TOKENIZER

SCHEMA: Final = 1
APPLICATION_ID: Final = 0x66746B62  # "ftkb", in the header of the file
VECTORS_A_ROW: Final = 256

TABLES: Final = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE documents (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, file TEXT NOT NULL, title TEXT NOT NULL, sha256 TEXT NOT NULL,
    characters INTEGER NOT NULL, tail TEXT NOT NULL
);
CREATE INDEX documents_of_file ON documents (file);
CREATE TABLE passages (
    id INTEGER PRIMARY KEY, document INTEGER NOT NULL REFERENCES documents (id),
    start INTEGER NOT NULL, "end" INTEGER NOT NULL, heading TEXT NOT NULL, gap TEXT NOT NULL, text TEXT NOT NULL,
    heading_terms TEXT, terms TEXT
);
CREATE INDEX passages_of_document ON passages (document);
CREATE TABLE vectors (
    first INTEGER PRIMARY KEY, document INTEGER NOT NULL REFERENCES documents (id), vectors BLOB NOT NULL
);
CREATE INDEX vectors_of_document ON vectors (document);
CREATE VIEW index_terms AS
    SELECT id, coalesce(heading_terms, heading) AS heading, coalesce(terms, text) AS terms FROM passages;
CREATE VIRTUAL TABLE full_text USING fts5(
    heading, terms, content='index_terms', content_rowid='id', tokenize="{TOKENIZER}"
);
CREATE VIRTUAL TABLE term_counts USING fts5vocab('full_text', 'row');
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """What a knowledge base says of itself.

    Attributes:
        schema: version of the tables.
        created: ISO 8601, UTC.
        fingerprint: of the embedding model; "" where there are no embeddings, and so are the two below.
        dimension: of the vectors; 0 without.
        embedder: where its bundle lay when the documents were indexed, as `recorded_path` writes it.
        reader: where the bundle of the reader lies, likewise; "" where none was named.
        passage_tokens: how long a passage may be, heading included.
        overlap_tokens: how much of a passage the next one repeats, at most.
        changes: how many transactions have written to the file.
    """

    schema: int = SCHEMA
    created: str
    fingerprint: str = ""
    dimension: int = 0
    embedder: str = ""
    reader: str = ""
    passage_tokens: int
    overlap_tokens: int
    changes: int = 0

    def rows(self) -> list[tuple[str, str]]:
        """Keys and values of the table `meta`."""
        return [(name, str(getattr(self, name))) for name in self.__slots__]


def read_meta(connection: sqlite3.Connection, path: Path) -> Meta:
    """What the file at `path` says of itself.

    Raises KnowledgeBaseError where it is no knowledge base or one of a newer ftool, sqlite3.Error where it can't be
    read.
    """
    if _pragma(connection, "application_id") != APPLICATION_ID:
        if _pragma(connection, "schema_version") == 0:
            raise KnowledgeBaseError(f"{path} is empty: nothing was indexed yet; `ftool index` does that")
        raise KnowledgeBaseError(
            f"{path} is an SQLite database of another kind, no knowledge base of ftool's"
        )
    values: dict[str, str] = dict(connection.execute("SELECT key, value FROM meta"))
    return _meta(values, path)


def _meta(values: Mapping[str, str], path: Path) -> Meta:
    whole = ("schema", "dimension", "passage_tokens", "overlap_tokens", "changes")
    try:
        schema = int(values["schema"])
        if schema == SCHEMA:
            named: dict[str, Any] = {name: values[name] for name in Meta.__slots__}
            return Meta(**named | {name: int(named[name]) for name in whole})
    except (KeyError, ValueError) as error:
        raise KnowledgeBaseError(f"{path}: damaged: its table meta lacks or garbles {error}") from error
    if schema > SCHEMA:
        raise KnowledgeBaseError(
            f"{path} was made by a newer ftool: it has schema {schema}, this one knows {SCHEMA}; upgrade ftool-runtime"
        )
    raise KnowledgeBaseError(f"{path} has schema {schema}; index the documents again into a new file")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
