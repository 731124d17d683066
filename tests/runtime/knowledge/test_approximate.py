"""A knowledge base with an approximate index finds what an exact search finds, and is never outdated or half read."""

import builtins
import hashlib
import logging
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.helpers.approximate import write_approximate
from tests.helpers.word_embedder import WordEmbedder

from ftool_runtime.knowledge import KnowledgeBase, KnowledgeBaseError
from ftool_runtime.knowledge.approximate import new_graph
from ftool_runtime.knowledge.vectors import STORED

pytest.importorskip("usearch", reason="an approximate index needs usearch")

Writer = Callable[..., Path]

_random = np.random.default_rng(0)
DOCUMENTS = {
    f"{number}.md": [" ".join(f"w{word}" for word in _random.integers(0, 500, 12))] for number in range(300)
}
QUESTIONS = [" ".join(f"w{word}" for word in _random.integers(0, 500, 6)) for _ in range(20)]


@pytest.fixture
def path(write_base: Writer, embedder: WordEmbedder) -> Path:
    """A knowledge base of 300 passages with an approximate index."""
    path = write_base(DOCUMENTS, embedder)
    write_approximate(path, embedder.dimension)
    return path


def found(base: KnowledgeBase, question: str, k: int = 10) -> list[tuple[str, float]]:
    return [(passage.document, passage.score) for passage in base.search(question, k, mode="embeddings")]


def check_same_as_exact(path: Path, embedder: WordEmbedder) -> None:
    with (
        KnowledgeBase.open(path, embedder=embedder) as base,
        KnowledgeBase.open(path, embedder=embedder, exact=True) as exact,
    ):
        for question in QUESTIONS:
            near, right = found(base, question), found(exact, question)
            assert [name for name, _ in near] == [name for name, _ in right]
            # The average is that of float32 products in the one, of float64 vectors in the other.
            np.testing.assert_allclose([s for _, s in near], [s for _, s in right], atol=1e-6)


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.execute("UPDATE meta SET value = value + 1 WHERE key = 'changes'")
        connection.commit()


def add_passage(path: Path, name: str, text: str, embedder: WordEmbedder) -> None:
    vector = embedder([text], kind="passage").astype(STORED).tobytes()
    with closing(sqlite3.connect(path)) as connection:
        (new,) = connection.execute("SELECT max(id) + 1 FROM passages").fetchone()
        connection.execute("INSERT INTO documents VALUES (?, ?, ?, '', '', 0, '')", (new, name, name))
        connection.execute(
            "INSERT INTO passages VALUES (?, ?, 0, 1, '', '', ?, NULL, NULL)", (new, new, text)
        )
        connection.execute("INSERT INTO vectors VALUES (?, ?, ?)", (new, new, vector))
        connection.commit()
    change(path)


def delete_passages(path: Path, dimension: int, *names: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        (total,) = connection.execute("SELECT total FROM approximate").fetchone()
        total = np.frombuffer(total, np.float64)
        for name in names:
            (document,) = connection.execute("SELECT id FROM documents WHERE name = ?", (name,)).fetchone()
            (vectors,) = connection.execute(
                "SELECT vectors FROM vectors WHERE document = ?", (document,)
            ).fetchone()
            total = total - np.frombuffer(vectors, STORED).astype(np.float64).reshape(-1, dimension).sum(
                axis=0
            )
            for table in ("passages", "vectors"):
                connection.execute(f"DELETE FROM {table} WHERE document = ?", (document,))
        connection.execute(
            "UPDATE approximate SET passages = passages - ?, total = ?", (len(names), total.tobytes())
        )
        connection.commit()
    change(path)


def test_the_best_passages_and_their_scores_are_those_of_an_exact_search(
    path: Path, embedder: WordEmbedder
) -> None:
    check_same_as_exact(path, embedder)


def test_covered_passages_are_not_compared_one_by_one(path: Path, embedder: WordEmbedder) -> None:
    change(path, "DELETE FROM vectors")
    with KnowledgeBase.open(path, embedder=embedder) as base:
        assert found(base, DOCUMENTS["7.md"][0])[0][0] == "7.md"
        assert base.info()["approximate"] == 300


def test_a_passage_written_since_is_found(path: Path, embedder: WordEmbedder) -> None:
    with KnowledgeBase.open(path, embedder=embedder) as base:
        assert found(base, "entirely new words")[0][0] != "new.md"
        add_passage(path, "new.md", "entirely new words", embedder)
        assert found(base, "entirely new words")[0][0] == "new.md"
    check_same_as_exact(path, embedder)


@pytest.mark.parametrize("deleted", [1, 60, 299, 300])
def test_deleted_passages_are_left_out(path: Path, embedder: WordEmbedder, deleted: int) -> None:
    with KnowledgeBase.open(path, embedder=embedder) as base:
        ranked = [name for name, _ in found(base, QUESTIONS[0], 300)]
        delete_passages(path, embedder.dimension, *ranked[:deleted])
        assert [name for name, _ in found(base, QUESTIONS[0], 10)] == ranked[deleted : deleted + 10]
    check_same_as_exact(path, embedder)


def test_an_index_that_was_built_anew_is_read_again(path: Path, embedder: WordEmbedder) -> None:
    with KnowledgeBase.open(path, embedder=embedder) as base:
        found(base, QUESTIONS[0])
        add_passage(path, "new.md", "entirely new words", embedder)
        write_approximate(path, embedder.dimension)
        change(path, "DELETE FROM vectors")
        assert found(base, "entirely new words")[0][0] == "new.md"


def test_threads_find_the_same(path: Path, embedder: WordEmbedder) -> None:
    with KnowledgeBase.open(path, embedder=embedder) as base, ThreadPoolExecutor(4) as pool:
        alone = [found(base, question) for question in QUESTIONS]
        assert list(pool.map(lambda question: found(base, question), QUESTIONS * 5)) == alone * 5


def test_without_usearch_the_search_is_exact_and_says_so_once(
    path: Path, embedder: WordEmbedder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with KnowledgeBase.open(path, embedder=embedder, exact=True) as base:
        right = [found(base, question) for question in QUESTIONS]
    imported = builtins.__import__

    def without_usearch(name: str, *args: Any) -> Any:
        if name.partition(".")[0] == "usearch":
            raise ModuleNotFoundError("No module named 'usearch'", name="usearch")
        return imported(name, *args)

    monkeypatch.setattr(builtins, "__import__", without_usearch)
    with caplog.at_level(logging.WARNING), KnowledgeBase.open(path, embedder=embedder) as base:
        assert [found(base, question) for question in QUESTIONS] == right
    (said,) = caplog.messages
    assert said == (
        f"{path} has an approximate index, but is searched exactly: an approximate index needs usearch, which is not "
        'installed: `pip install "ftool-runtime[approximate]"`'
    )


def _other_graph(path: Path) -> None:
    """Replace the graph with one of other vectors, as if it came from another file."""
    graph = new_graph(64)
    graph.add(np.arange(5, dtype=np.uint64), np.eye(5, 64, dtype=np.float32), threads=1)
    stored = bytes(graph.save())
    digest = hashlib.sha256(stored).hexdigest()
    change(
        path,
        "DELETE FROM approximate_parts",
        f"INSERT INTO approximate_parts VALUES (1, x'{stored.hex()}')",
        f"UPDATE approximate SET sha256 = '{digest}', bytes = {len(stored)}",
    )


def _not_a_graph(path: Path) -> None:
    digest = hashlib.sha256(b"hello").hexdigest()
    change(
        path,
        "DELETE FROM approximate_parts",
        "INSERT INTO approximate_parts VALUES (1, x'68656c6c6f')",
        f"UPDATE approximate SET sha256 = '{digest}', bytes = 5",
    )


ONE_BYTE = "CAST(substr(data, 1, 500) || x'ff' || substr(data, 502) AS BLOB)"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (
            lambda path: change(path, f"UPDATE approximate_parts SET data = {ONE_BYTE} WHERE part = 3"),
            "its bytes are not those that were written",
        ),
        (
            lambda path: change(path, "DELETE FROM approximate_parts WHERE part = 2"),
            "its bytes are not those that were written",
        ),
        (
            lambda path: change(path, "UPDATE approximate_parts SET data = 'text' WHERE part = 2"),
            "a part is not binary",
        ),
        (lambda path: change(path, "UPDATE approximate SET total = x'00'"), "its description is invalid"),
        (
            lambda path: change(path, "UPDATE approximate SET total = zeroblob(8)"),
            "it has vectors of another length",
        ),
        (lambda path: change(path, "UPDATE approximate SET last = 'x'"), "its description is invalid"),
        (_other_graph, "it does not fit the file"),
        (lambda path: change(path, "UPDATE approximate SET repeats = 9"), "it does not fit the file"),
        (_not_a_graph, "usearch can't read it"),
    ],
    ids=["a byte", "a part", "text", "total", "dimension", "last", "another graph", "repeats", "no graph"],
)
def test_a_damaged_index_is_refused_by_name(
    path: Path, embedder: WordEmbedder, damage: Callable[[Path], None], said: str
) -> None:
    damage(path)
    with (
        KnowledgeBase.open(path, embedder=embedder) as base,
        pytest.raises(KnowledgeBaseError, match=said) as caught,
    ):
        base.search(QUESTIONS[0], mode="embeddings")
    assert str(path) in str(caught.value)
    assert "ftool index -o KB.db --approximate" in str(caught.value)
    assert "\n" not in str(caught.value)
    with KnowledgeBase.open(path, embedder=embedder, exact=True) as base:
        assert base.search(QUESTIONS[0], mode="embeddings")
