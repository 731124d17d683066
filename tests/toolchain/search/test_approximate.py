"""`ftool index --approximate` builds an index that stays right through updates, and is never half written."""

import builtins
import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.helpers.cli import ftool
from tests.helpers.word_embedder import WordEmbedder
from tests.toolchain.search.test_kill import forks, killed_at, restore

from ftool.search import build_approximate
from ftool.search.build import Built, IndexSettings, build_index
from ftool_runtime.errors import InputError, RuntimeMissingError
from ftool_runtime.knowledge import KnowledgeBase
from ftool_runtime.knowledge.approximate import new_graph, read_covered
from ftool_runtime.knowledge.vectors import read_blocks

Indexing = Callable[..., Built]

_random = np.random.default_rng(0)
QUESTIONS = [_random.integers(0, 300, 6) for _ in range(10)]


def words(numbers: Any) -> str:
    return " ".join(f"w{number}" for number in numbers)


@pytest.fixture
def many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of 100 short documents, in the current folder."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(100):
        (folder / f"{number:03}.txt").write_text(words(_random.integers(0, 300, 12)))
    return folder


def check(embedder: WordEmbedder, covered: int) -> None:
    """Check that kb.db finds what an exact search does, and that its index describes `covered` passages rightly."""
    with (
        KnowledgeBase.open("kb.db", embedder=embedder) as base,
        KnowledgeBase.open("kb.db", embedder=embedder, exact=True) as exact,
    ):
        assert base.info()["approximate"] == covered
        for question in map(words, QUESTIONS):
            found, right = (kb.search(question, 10, mode="embeddings") for kb in (base, exact))
            assert [passage.document for passage in found] == [passage.document for passage in right]
            scores = [[passage.score for passage in passages] for passages in (found, right)]
            np.testing.assert_allclose(*scores, atol=1e-6)  # the average is summed in another order
    with closing(sqlite3.connect("kb.db")) as connection:
        described = read_covered(connection)
        if described is None:
            assert covered == 0
            return
        total = np.zeros(embedder.dimension)
        for ids, vectors in read_blocks(connection, embedder.dimension):
            total += vectors[ids <= described.last].sum(axis=0, dtype=np.float64)
    assert described.passages == covered
    np.testing.assert_array_equal(described.total, total)


@pytest.mark.usefixtures("many")
def test_an_index_is_built_and_reported(index: Indexing, embedder: WordEmbedder) -> None:
    report = index("many", approximate=True).approximate
    assert report is not None
    assert (report.passages, report.recall) == (100, 1.0)
    check(embedder, 100)


@pytest.mark.usefixtures("many")
def test_an_index_is_added_to_a_file_and_deleted_from_it(index: Indexing, embedder: WordEmbedder) -> None:
    index("many")
    check(embedder, 0)
    index(approximate=True)
    size = Path("kb.db").stat().st_size
    check(embedder, 100)
    assert index(approximate=True).approximate is None  # nothing has changed
    index(approximate=False)
    assert Path("kb.db").stat().st_size < size - 100 * embedder.dimension * 2  # that of float16 vectors
    check(embedder, 0)


def test_copies_of_a_passage_hide_no_others(index: Indexing, embedder: WordEmbedder, many: Path) -> None:
    for number in range(500):
        (many / f"footer {number}.txt").write_text("page of the manual")
    index("many", approximate=True)
    check(embedder, 600)
    with KnowledgeBase.open("kb.db", embedder=embedder) as base:
        copies = base.search("page of the manual", 300, mode="embeddings")
        assert len({passage.document for passage in copies if passage.text == "page of the manual"}) == 300
    for name in sorted(many.glob("footer*"))[:450]:  # also the first copy, which is in the graph
        name.unlink()
    index("many", sync=True)
    check(embedder, 150)
    with KnowledgeBase.open("kb.db", embedder=embedder) as base:
        copies = base.search("page of the manual", 60, mode="embeddings")
        assert sum(passage.text == "page of the manual" for passage in copies) == 50


def test_updates_keep_the_index_right(index: Indexing, embedder: WordEmbedder, many: Path) -> None:
    index("many", approximate=True)
    (many / "003.txt").write_text("quite another text")
    (many / "new.txt").write_text(words(QUESTIONS[0]))
    assert index("many").approximate is None
    check(embedder, 99)
    for number in range(90, 100):
        (many / f"{number:03}.txt").unlink()
    index("many", sync=True)
    check(embedder, 89)
    (many / "095.txt").write_text(words(QUESTIONS[1]))  # must not get the id of a deleted passage
    index("many")
    check(embedder, 89)
    assert index("many", approximate=True).approximate is None  # the few new passages are searched exactly
    check(embedder, 89)


@pytest.mark.usefixtures("many")
def test_a_file_that_was_emptied_is_filled_again(index: Indexing, embedder: WordEmbedder, many: Path) -> None:
    index("many", approximate=True)
    index(delete=[f"many/{number:03}.txt" for number in range(100)])
    check(embedder, 0)
    index("many")
    check(embedder, 0)
    index(approximate=False)
    assert index(approximate=True).approximate is not None
    check(embedder, 100)


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE approximate_parts SET data = CAST('x' || substr(data, 2) AS BLOB)",
        "UPDATE approximate SET total = x'00'",
        "UPDATE approximate SET built = 7",
        "DELETE FROM approximate_parts",
    ],
)
def test_a_damaged_index_is_built_anew(index: Indexing, embedder: WordEmbedder, damage: str) -> None:
    index("many", approximate=True)
    with closing(sqlite3.connect("kb.db")) as connection:
        connection.execute(damage)
        connection.commit()
    assert index("many", approximate=True).approximate is not None
    check(embedder, 100)


def test_an_index_is_built_anew_after_many_changes(
    index: Indexing, embedder: WordEmbedder, many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_approximate, "_REBUILD_LEAST", 0)
    index("many", approximate=True)
    for number in range(5):
        (many / f"{number:03}.txt").write_text(words(QUESTIONS[number]))
    assert index("many").approximate is None  # 5 passages are gone and 5 new: not more than a tenth
    check(embedder, 95)
    (many / "010.txt").write_text("another text")
    report = index("many").approximate
    assert report is not None
    assert report.passages == 100
    check(embedder, 100)


def test_a_low_recall_is_told(
    index: Indexing, many: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(build_approximate, "_recall", lambda *_: 0.5)
    index("many", approximate=True)
    assert caplog.messages == [
        "kb.db: the approximate index finds 0.50 of the nearest passages; --no-approximate deletes it"
    ]


@pytest.mark.usefixtures("many")
def test_the_recall_is_that_against_all_passages(index: Indexing, monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph that lacks half of the passages finds about half of the nearest."""

    class HalfGraph:
        def __init__(self, dimension: int) -> None:
            self._graph = new_graph(dimension)

        def add(self, keys: Any, vectors: Any, **options: Any) -> None:
            self._graph.add(keys, vectors, **options)

        def search(self, vector: Any, count: int, **options: Any) -> Any:
            found = self._graph.search(vector, count * 4, **options)

            class Odd:
                keys = found.keys[found.keys % 2 == 1][:count]

            return Odd

        def __getattr__(self, name: str) -> Any:
            return getattr(self._graph, name)

        def __len__(self) -> int:
            return len(self._graph)

    monkeypatch.setattr(build_approximate, "new_graph", HalfGraph)
    report = index("many", approximate=True).approximate
    assert report is not None
    assert 0.35 < report.recall < 0.65


@pytest.mark.usefixtures("many")
def test_a_file_without_embeddings_gets_no_index(index: Indexing) -> None:
    with pytest.raises(InputError, match=r"--approximate: kb\.db has no embeddings to index"):
        index("many", embedder="none", approximate=True)
    assert not Path("kb.db").exists()


@pytest.mark.usefixtures("many")
def test_without_usearch_the_extra_is_named_before_anything_is_indexed(
    index: Indexing, embedder: WordEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported = builtins.__import__

    def without_usearch(name: str, *args: Any) -> Any:
        if name.partition(".")[0] == "usearch":
            raise ModuleNotFoundError("No module named 'usearch'", name="usearch")
        return imported(name, *args)

    monkeypatch.setattr(builtins, "__import__", without_usearch)
    with pytest.raises(RuntimeMissingError, match=re.escape('pip install "ftool-runtime[approximate]"')):
        index("many", approximate=True)
    assert not Path("kb.db").exists()
    assert embedder.texts == []


def test_an_outdated_index_is_left_as_it_is_without_usearch(
    index: Indexing,
    embedder: WordEmbedder,
    many: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    index("many", approximate=True)

    def missing(_: int) -> None:
        raise RuntimeMissingError("usearch is missing")

    monkeypatch.setattr(build_approximate, "_REBUILD_LEAST", 0)
    monkeypatch.setattr(build_approximate, "new_graph", missing)
    for number in range(20):
        (many / f"{number:03}.txt").write_text("another text")
    assert index("many").approximate is None
    assert caplog.messages == [
        "kb.db: 40 passages have changed since its approximate index was built, which was left as it is: "
        "usearch is missing"
    ]
    check(embedder, 80)


@forks
def test_an_index_is_whole_or_missing_wherever_the_build_is_killed(
    index: Indexing, embedder: WordEmbedder, many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index("many", approximate=True)
    (many / "003.txt").write_text("another text")
    index("many")
    before = {"kb.db": Path("kb.db").read_bytes()}
    monkeypatch.setattr(build_approximate, "_REBUILD_LEAST", 1)
    monkeypatch.setattr(build_approximate, "_REBUILD_SHARE", 0)
    settings = IndexSettings(embedder=embedder)
    covered = set()
    for statement in range(1000):
        restore(before)
        if not killed_at(statement, lambda: build_index(Path("kb.db"), [], settings)):
            break
        with KnowledgeBase.open("kb.db", embedder=embedder) as base:
            now = base.info()["approximate"]
        check(embedder, now)
        covered.add(now)
    assert covered == {99, 100}
    assert 10 < statement < 999


@pytest.mark.usefixtures("many")
def test_the_command_line_builds_reports_and_deletes_an_index(searcher: Path) -> None:
    options = ("-o", "kb.db", "--embedder", searcher / "bundle")
    said = json.loads(ftool("index", "many", *options, "--approximate", "--json").stdout)["approximate"]
    assert {key: said[key] for key in ("passages", "recall")} == {"passages": 100, "recall": 1.0}
    assert json.loads(ftool("index", "many", *options, "--json").stdout)["approximate"] is None
    assert ftool("index", "-o", "kb.db", "--no-approximate").exit_code == 0
    again = ftool("index", "-o", "kb.db", "--approximate")
    assert re.search(
        r"approximate index: 100 passages, 0\.\d MB, finds 1\.000 of the nearest passages, in ", again.stdout
    )


@pytest.mark.usefixtures("many")
def test_the_command_line_refuses_a_damaged_index_or_goes_without_it(searcher: Path) -> None:
    ftool("index", "many", "-o", "kb.db", "--embedder", searcher / "bundle", "--approximate")
    with closing(sqlite3.connect("kb.db")) as connection:
        connection.execute("DELETE FROM approximate_parts")
        connection.commit()
    asked = ftool("ask", "kb.db", "w1 w2")
    assert asked.exit_code == 2
    assert asked.stderr == (
        "Error: kb.db: its approximate index is damaged (its bytes are not those that were written); build the index "
        "again with `ftool index -o KB.db --approximate`\n"
    )
    assert ftool("ask", "kb.db", "w1 w2", "--exact").exit_code == 0
    assert ftool("index", "-o", "kb.db", "--approximate").exit_code == 0
    assert ftool("ask", "kb.db", "w1 w2").exit_code == 0


@pytest.mark.usefixtures("many")
def test_the_command_line_refuses_an_index_without_embeddings() -> None:
    done = ftool("index", "many", "-o", "kb.db", "--embedder", "none", "--approximate")
    assert done.exit_code == 2
    assert done.stderr == (
        "Error: --approximate: kb.db has no embeddings to index; leave --approximate out\n"
    )
