"""Files that are not knowledge bases, or are damaged, locked or from another version."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ftool_runtime.knowledge import MODES, KnowledgeBase, KnowledgeBaseError
from ftool_runtime.knowledge.schema import Meta

DOCUMENTS = {f"{number}.md": [f"passage {number} of some words"] for number in range(300)}

Writer = Callable[..., Path]


def refused(path: Path, said: str) -> None:
    with pytest.raises(KnowledgeBaseError, match=said) as caught, KnowledgeBase.open(path) as base:
        base.search("words", 300)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    refused(tmp_path / "kb.db", "there is no knowledge base")


def test_a_folder(tmp_path: Path) -> None:
    refused(tmp_path, "there is no knowledge base")


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "kb.db"
    path.write_text("not a database, " * 1000)
    refused(path, "is not an SQLite database")


def test_another_programs_database(tmp_path: Path) -> None:
    path = tmp_path / "kb.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE mine (a)")
    refused(path, "an SQLite database but not a knowledge base")


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "kb.db"
    path.touch()
    refused(path, "is empty; index documents into it with `ftool index`")


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9])
def test_a_file_cut_short(write_base: Writer, keep: float) -> None:
    path = write_base(DOCUMENTS)
    os.truncate(path, int(path.stat().st_size * keep))
    refused(path, "damaged")


def test_a_file_overwritten_in_the_middle(write_base: Writer) -> None:
    path = write_base(DOCUMENTS)
    content = bytearray(path.read_bytes())
    content[8192:-8192] = b"\xff" * (len(content) - 16384)
    path.write_bytes(content)
    refused(path, "damaged")


def test_damage_anywhere_gives_an_answer_or_a_knowledge_base_error(write_base: Writer, embedder: Any) -> None:
    whole = write_base(DOCUMENTS, embedder=embedder)
    content = whole.read_bytes()
    random = np.random.default_rng(5)
    told = []
    for start in range(4096, len(content), 2048):
        damaged = bytearray(content)
        damaged[start : start + 300] = random.bytes(300)
        whole.write_bytes(damaged)
        for mode in MODES:
            try:
                with KnowledgeBase.open(whole, embedder=embedder) as base:
                    for passage in base.search("some words of passage 7", 20, mode=mode):
                        json.dumps(passage.to_json(), allow_nan=False)
            except KnowledgeBaseError as error:
                told.append(str(error))
    assert len(told) > 10
    assert all("damaged" in one for one in told)


@pytest.mark.parametrize(
    "damage",
    [
        "substr(vectors, 3)",
        "'text'",
        "CAST(x'007c' || substr(vectors, 3) AS BLOB)",  # infinite, as float16
        "CAST(x'007e' || substr(vectors, 3) AS BLOB)",  # nan
    ],
)
def test_vectors_that_are_missing_incomplete_or_not_finite_are_refused(
    write_base: Writer, embedder: Any, damage: str
) -> None:
    path = write_base(DOCUMENTS, embedder=embedder)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE vectors SET vectors = {damage}")
    with (
        KnowledgeBase.open(path, embedder=embedder) as base,
        pytest.raises(KnowledgeBaseError, match="damaged"),
    ):
        base.search("words", mode="embeddings")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE passages SET text = x'00'", "a cell holds bytes instead of text"),
        ("UPDATE documents SET title = x'00'", "a cell holds bytes instead of text"),
        ("UPDATE passages SET start = 'x'", "a cell holds text instead of a whole number"),
        ("UPDATE meta SET value = x'00' WHERE key = 'created'", "a cell holds bytes instead of text"),
        ("UPDATE meta SET value = -1 WHERE key = 'changes'", "changes is -1"),
        ("UPDATE meta SET value = 'words' WHERE key = 'fingerprint'", "dimension is 0"),
    ],
)
def test_cells_of_another_type_or_range_are_damage(write_base: Writer, change: str, said: str) -> None:
    path = write_base(DOCUMENTS)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(change)
        connection.commit()
    refused(path, said)


def test_a_newer_schema(write_base: Writer) -> None:
    newer = Meta(schema=99, created="", passage_tokens=1, overlap_tokens=0)
    refused(write_base(DOCUMENTS, meta=newer), "made by a newer ftool: it has schema 99")


def test_a_missing_value_of_the_metadata_is_named(write_base: Writer) -> None:
    path = write_base(DOCUMENTS)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM meta WHERE key = 'dimension'")
    refused(path, "missing or invalid value in its table meta: 'dimension'")


def test_a_locked_file_is_refused_after_the_time_out(write_base: Writer) -> None:
    path = write_base(DOCUMENTS)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(KnowledgeBaseError, match="locked by another program"):
            KnowledgeBase.open(path, busy_timeout_s=0.1)


def test_searches_work_while_another_process_writes(write_base: Writer) -> None:
    path = write_base(DOCUMENTS)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("BEGIN IMMEDIATE")
        other.execute("DELETE FROM documents")
        with KnowledgeBase.open(path, busy_timeout_s=0.1) as base:
            assert len(base.search("words", 300)) == 300
            other.execute("ROLLBACK")


def test_a_replaced_file_is_refused(write_base: Writer) -> None:
    path = write_base(DOCUMENTS)
    with KnowledgeBase.open(path) as base:
        later = replace(base._meta, created="2027-01-01T00:00:00+00:00")
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE meta SET value = ? WHERE key = 'created'", (later.created,))
        with pytest.raises(KnowledgeBaseError, match="was replaced after it was opened"):
            base.search("words")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="drops the rights of root")
def test_a_file_with_a_log_in_a_read_only_folder_can_be_searched(write_base: Writer) -> None:
    path = write_base(DOCUMENTS)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    for folder in [path.parent, *path.parents]:
        if folder.stat().st_uid == 0 and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    path.parent.chmod(0o555)
    path.chmod(0o444)
    script = (
        "import os, sys; from ftool_runtime.knowledge import KnowledgeBase\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "print(len(KnowledgeBase.open(sys.argv[1]).search('words', 7)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("7\n", "")


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "statement",
    [
        "DROP VIEW index_terms; CREATE VIEW index_terms AS WITH RECURSIVE r(id, heading, terms) AS "
        "(SELECT 1, '', '' UNION ALL SELECT id + 1, '', '' FROM r) SELECT * FROM r",
        "ALTER TABLE passages RENAME TO p; CREATE VIEW passages AS WITH RECURSIVE r(n) AS "
        "(SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT p.* FROM p, r",
        "CREATE TRIGGER t AFTER INSERT ON meta BEGIN DELETE FROM passages; END",
    ],
)
def test_views_and_triggers_that_ftool_did_not_write_are_refused(write_base: Writer, statement: str) -> None:
    path = write_base(DOCUMENTS)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"PRAGMA legacy_alter_table = ON; {statement}")
    refused(path, "(view|trigger) '[a-z_]*' that ftool did not write")
