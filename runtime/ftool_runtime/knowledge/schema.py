"""Tables and metadata of a knowledge base's file.

passages       a passage's text and its position in the document: characters `start` to `end`; `gap` is the white space
               between the previous passage and this one, so that a document can be reassembled
full_text      FTS5 index over the view `index_terms`, which has the terms made from each passage's heading and text
vectors        each row holds the vectors of up to VECTORS_A_ROW passages with consecutive ids: float16
               (passages, dimension)
meta           metadata; `changes` counts the transactions that wrote to the file
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ftool_runtime.knowledge.errors import KnowledgeBaseError, checked, damage
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
_VIEW: Final = " ".join(next(one for one in TABLES.split(";") if "CREATE VIEW" in one).split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """Metadata of a knowledge base.

    Attributes:
        schema: the version of the tables.
        created: the time of creation, ISO 8601, UTC.
        fingerprint: the fingerprint of the embedding model; "" without embeddings.
        dimension: the length of the vectors; 0 without embeddings.
        embedder: the path of the embedder's bundle, as written by `recorded_path`; "" for an app's own embedder, and
            without embeddings.
        reader: the path of the reader's bundle, as written by `recorded_path`; "" without a reader.
        passage_tokens: the maximum length of a passage with its headings, in tokens.
        overlap_tokens: the maximum number of tokens that a passage repeats from the end of the previous one.
        changes: the number of transactions that have written to the file.
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
        """Return the rows of the table `meta`, as (key, value) pairs."""
        return [(name, str(getattr(self, name))) for name in self.__slots__]


def read_meta(connection: sqlite3.Connection, path: Path) -> Meta:
    """Return the metadata of the knowledge base at `path`.

    Raises KnowledgeBaseError if the file is not a knowledge base, or was made by a version of ftool whose files this
    version can't read; sqlite3.Error if the file can't be read at all.
    """
    if _pragma(connection, "application_id") != APPLICATION_ID:
        if _pragma(connection, "schema_version") == 0:
            raise KnowledgeBaseError(f"{path} is empty; index documents into it with `ftool index`")
        raise KnowledgeBaseError(
            f"{path} is an SQLite database but not a knowledge base; give a file made by `ftool index`"
        )
    _check_statements(connection, path)
    values: dict[str, str] = dict(checked(connection.execute("SELECT key, value FROM meta"), str, str))
    return _meta(values, path)


def _check_statements(connection: sqlite3.Connection, path: Path) -> None:
    """Raise KnowledgeBaseError if a search would run SQL in the file that ftool did not write."""
    found = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE type IN ('view', 'trigger')")
    for kind, name, sql in found:
        if (kind, name) != ("view", "index_terms") or " ".join(str(sql).split()) != _VIEW:
            raise KnowledgeBaseError(
                f"{path} has a {kind} {name!r} that ftool did not write, which could run anything; index the documents "
                "into a new file"
            )
    computed = connection.execute(
        "SELECT it.name, field.name FROM sqlite_master AS it, pragma_table_xinfo(it.name) AS field "
        "WHERE it.type = 'table' AND field.hidden IN (2, 3)"
    ).fetchone()
    if computed is not None:
        raise KnowledgeBaseError(
            f"{path} computes the column {computed[1]!r} of {computed[0]!r}, which ftool never does and which could "
            "take any time and memory; index the documents into a new file"
        )


def _meta(values: Mapping[str, str], path: Path) -> Meta:
    whole = ("schema", "dimension", "passage_tokens", "overlap_tokens", "changes")
    try:
        schema = int(values["schema"])
        if schema == SCHEMA:
            named: dict[str, Any] = {name: values[name] for name in Meta.__slots__}
            numbers = {name: int(named[name]) for name in whole}
            for name, number in numbers.items():
                least = 1 if name == "dimension" and named["fingerprint"] else 0
                if not least <= number < 2**63:
                    raise ValueError(f"{name} is {number}")
            return Meta(**named | numbers)
    except (KeyError, ValueError) as error:
        found = damage(f"missing or invalid value in its table meta: {error}")
        raise KnowledgeBaseError(f"{path}: {found}") from error
    if schema > SCHEMA:
        raise KnowledgeBaseError(
            f"{path} was made by a newer ftool: it has schema {schema}, this version reads {SCHEMA}; upgrade "
            "ftool-runtime"
        )
    raise KnowledgeBaseError(
        f"{path} was made by an older ftool: it has schema {schema}, this version reads {SCHEMA}; index the documents "
        "again into a new file"
    )


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
