"""Indexing that is killed leaves complete documents, and the next call continues from there."""

import itertools
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.word_embedder import WordEmbedder

from ftool.search.build import IndexSettings, build_index
from ftool_runtime.knowledge import KnowledgeBase, KnowledgeBaseError
from ftool_runtime.knowledge.schema import read_meta

OLD, NEW = "old", "new"
PARAGRAPH = "Paragraph {} of the {} text, which has some words. 隐私政策。"

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def write_documents(version: str) -> None:
    """Two short documents, and a long one with several batches of passages."""
    Path("docs").mkdir(exist_ok=True)
    for name, length in (("a.txt", 3), ("b.txt", 2), ("long.txt", 80)):
        text = "\n\n".join(PARAGRAPH.format(number, version) * 4 for number in range(length))
        (Path("docs") / name).write_text(text, encoding="utf-8")


def content(path: Path | str) -> dict[str, Any]:
    """The content of a knowledge base: texts, and all terms and vectors of the indexes."""
    with KnowledgeBase.open(path, embedder=None) as base:
        texts = {name: base.text(name) for name in base.documents()}
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE VIRTUAL TABLE temp.words USING fts5vocab(main, full_text, row)")
        words = connection.execute("SELECT term, doc, cnt FROM words").fetchall()
        vectors = connection.execute(
            "SELECT name, vectors FROM vectors JOIN documents ON documents.id = document ORDER BY name, first"
        ).fetchall()
    return {"texts": texts, "words": words, "vectors": vectors}


def check_sound(path: Path | str, versions: dict[str, set[str]], *, all_there: bool = False) -> None:
    """Check that the file is intact, each document is one of its versions, and the terms match the passages."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
            return  # killed before anything was written
        connection.execute("INSERT INTO full_text (full_text, rank) VALUES ('integrity-check', 1)")
        passages, vectors = (
            connection.execute(query).fetchone()[0]
            for query in (
                "SELECT count(*) FROM passages",
                "SELECT coalesce(sum(length(vectors)), 0) FROM vectors",
            )
        )
        if read_meta(connection, Path(path)).fingerprint:
            assert vectors == passages * WordEmbedder.dimension * 2  # float16
    with KnowledgeBase.open(path, embedder=None) as base:
        for name in base.documents():
            assert base.text(name) in versions[name]
        assert not all_there or base.documents() == list(versions)


def texts_of_documents() -> dict[str, str]:
    return {f"docs/{p.name}": p.read_text(encoding="utf-8") for p in sorted(Path("docs").iterdir())}


def killed_at(statement: int, run: Callable[[], object]) -> bool:
    """Run in a process that kills itself before its SQL statement `number`. False if it ended earlier."""
    child = os.fork()
    if child == 0:
        countdown = itertools.count()
        connect = sqlite3.connect

        def die_in_time(_: str) -> None:
            if next(countdown) == statement:
                os.kill(os.getpid(), signal.SIGKILL)

        def counting(*args: Any, **kwargs: Any) -> sqlite3.Connection:
            connection = connect(*args, **kwargs)
            connection.set_trace_callback(die_in_time)
            return connection

        sqlite3.connect = counting  # type: ignore[assignment]
        try:
            run()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def restore(files: dict[str, bytes]) -> None:
    """Restore the base, or remove it if there was none; remove files left by a killed process."""
    for path in Path().glob("kb.db*"):
        path.unlink()
    for name, before in files.items():
        Path(name).write_bytes(before)


@forks
@pytest.mark.parametrize("begun", [False, True], ids=["a new file", "documents are replaced"])
def test_killed_before_a_statement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, embedder: Any, begun: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ftool.search.index._EMBED_BATCH", 32)
    settings = IndexSettings(embedder=embedder)

    def index(path: str = "kb.db") -> None:
        build_index(Path(path), [Path("docs")], settings)

    write_documents(OLD)
    old = texts_of_documents()
    if begun:
        index()
    before = {"kb.db": Path("kb.db").read_bytes()} if begun else {}
    write_documents(NEW)
    new = texts_of_documents()
    versions = {name: {old[name], text} if begun else {text} for name, text in new.items()}
    index("reference.db")
    expected = content("reference.db")

    statement, kills = 0, 0
    while killed_at(statement, index):
        check_sound("kb.db", versions, all_there=begun)
        index()
        assert content("kb.db") == expected, f"after a kill before statement {statement}"
        restore(before)
        kills += 1
        statement += 1 + statement // 4
    assert kills > 15


SLOWED = """
import sys
from pathlib import Path
from ftool.search.build import IndexSettings, build_index
print("ready", flush=True)
sys.stdin.readline()
build_index(Path("kb.db"), [Path("docs")], IndexSettings(embedder="none"))
"""


def test_killed_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kill at random moments, also within statements and commits; each run continues the previous one."""
    monkeypatch.chdir(tmp_path)
    write_documents(NEW)
    versions = {name: {text} for name, text in texts_of_documents().items()}
    generator = random.Random(0)
    for _ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", SLOWED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.stdin.write("\n")
            process.stdin.flush()
            time.sleep(generator.uniform(0, 0.15))
            process.kill()
        if Path("kb.db").exists():
            check_sound("kb.db", versions)
    build_index(Path("kb.db"), [Path("docs")], IndexSettings(embedder="none"))
    check_sound("kb.db", versions)
    with KnowledgeBase.open("kb.db") as base:
        assert set(base.documents()) == set(versions)


def test_a_file_without_tables_is_refused_as_empty(tmp_path: Path) -> None:
    (tmp_path / "kb.db").touch()
    with pytest.raises(KnowledgeBaseError, match="is empty; index documents"):
        KnowledgeBase.open(tmp_path / "kb.db")
