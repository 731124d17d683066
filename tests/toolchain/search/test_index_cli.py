"""`ftool index` and `ftool ask` on the command line."""

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.cli import ftool

from ftool.search import build
from ftool.search import embed as embedders
from ftool.search.build import IndexSettings, build_index
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.knowledge import KnowledgeBase

pytestmark = pytest.mark.usefixtures("docs")


@pytest.fixture
def embedder_bundle(searcher: Path) -> Path:
    return searcher / "bundle"


@pytest.fixture
def reader_bundle(reader_folder: Path) -> Path:
    return reader_folder / "bundle"


def test_documents_are_indexed_and_searched() -> None:
    done = ftool("index", "docs", "-o", "kb.db", "--embedder", "none")
    assert done.exit_code == 0
    assert "kb.db: 3 documents, 3 passages\n3 added, 0 replaced, 0 unchanged, 0 deleted, in " in done.output
    asked = ftool("ask", "kb.db", "how long are messages kept?", "-k", "1")
    assert asked.output == (
        "0.24  docs/keeping.md, characters 0 to 43, Keeping\n  Keeping Messages are kept for thirty days.\n"
    )


def test_one_document_is_counted_in_the_singular() -> None:
    done = ftool("index", "docs/keeping.md", "-o", "kb.db", "--embedder", "none")
    assert done.stdout.startswith("kb.db: 1 document, 1 passage\n")


def test_a_file_that_has_become_empty_is_reported(docs: Path) -> None:
    ftool("index", "docs", "-o", "kb.db", "--embedder", "none")
    (docs / "keeping.md").write_bytes(b"")
    done = ftool("index", "docs", "-o", "kb.db")
    assert (done.exit_code, "kb.db: 3 documents" in done.stdout) == (0, True)
    assert done.stderr == (
        "Warning: docs/keeping.md is now empty; its earlier documents stay in kb.db, "
        "delete them with --sync or --delete\n"
    )


def test_json_output() -> None:
    said = json.loads(ftool("index", "docs", "-o", "kb.db", "--embedder", "none", "--json").stdout)
    again = json.loads(ftool("index", "docs", "-o", "kb.db", "--json").stdout)
    assert again["passages"] == said["passages"] == said["passages_written"] > again["passages_written"] == 0
    assert {key: said[key] for key in ("knowledge_base", "documents", "added", "failed", "embedder")} == {
        "knowledge_base": "kb.db",
        "documents": 3,
        "added": 3,
        "failed": {},
        "embedder": None,
    }
    answer = json.loads(ftool("ask", "kb.db", "carriers?", "--json").stdout)
    assert (answer["text"], answer["passages"][0]["document"]) == (None, "docs/sharing.html")


def test_index_and_ask_with_an_embedder_and_a_reader(embedder_bundle: Path, reader_bundle: Path) -> None:
    done = ftool(
        "index", "docs", "-o", "kb.db", "--embedder", embedder_bundle, "--reader", reader_bundle, "--json"
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["embedder"] == str(embedder_bundle)
    answer = json.loads(ftool("ask", "kb.db", "how long are messages kept?", "--json").stdout)
    assert answer["read"]
    assert all(passage["embedding_rank"] for passage in answer["passages"])
    with KnowledgeBase.open("kb.db", threads=1) as base:
        text = base.text(answer["document"])
    assert text[answer["start"] : answer["end"]] == answer["text"]
    told = ftool("ask", "kb.db", "how long are messages kept?").output
    assert f"{answer['document']}, characters {answer['start']} to {answer['end']}" in told


def test_a_base_models_bundle_is_exported_once(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FTOOL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(embedders, "resolve_base", {"minilm": str(tiny_base)}.__getitem__)
    first = ftool("index", "docs", "-o", "kb.db", "--json")
    assert first.exit_code == 0, first.output
    assert "exporting it once as an embedder" in first.stderr
    again = ftool("index", "docs", "-o", "kb.db", "--embedder", "minilm", "--json")
    assert "once" not in again.stderr
    assert json.loads(again.stdout)["unchanged"] == 3
    shutil.rmtree(tmp_path / "cache")
    assert "which no longer exists" in ftool("index", "docs", "-o", "kb.db").output
    assert "which no longer exists" in ftool("ask", "kb.db", "messages").output
    assert ftool("ask", "kb.db", "messages", "--mode", "bm25").exit_code == 0


def test_failed_files_are_reported_and_the_others_are_indexed(docs: Path) -> None:
    (docs / "a.jsonl").write_text("{")
    (docs / "b.txt").write_bytes(b"\0\1\2")
    done = ftool("index", "docs", "-o", "kb.db", "--embedder", "none")
    assert done.exit_code == 2
    assert "3 documents" in done.stdout
    assert "left out: 1 binary" in done.stdout
    assert done.stderr.endswith(
        "Error: 1 file could not be indexed in full: 1 row of docs/a.jsonl left out: row 1 is not JSON: "
        "Expecting property name enclosed in double quotes at column 2\n"
    )


def test_every_failed_file_is_reported_with_the_reason(docs: Path) -> None:
    (docs / "a.jsonl").write_text('{"text": null}\n{"text": "one"}\n')
    (docs / "b.html").write_bytes("<meta charset=utf-16><p>naïve".encode("latin-1"))
    done = ftool("index", "docs", "-o", "kb.db", "--embedder", "none")
    assert done.exit_code == 2
    first, second, last = done.stderr.splitlines()
    assert first == ("Warning: 1 row of docs/a.jsonl left out: row 1: 'text' must be a string, got NoneType")
    assert second.startswith("Warning: docs/b.html: not utf-8: byte 0xef near offset ")
    assert last == "Error: 2 files could not be indexed in full; the warnings above say why"


def test_at_most_twenty_failed_files_are_listed(docs: Path) -> None:
    for number in range(25):
        (docs / f"{number:02}.jsonl").write_text("{")
    done = ftool("index", "docs", "-o", "kb.db", "--embedder", "none")
    *warnings, more, last = done.stderr.splitlines()
    assert (len(warnings), more) == (20, "Warning: and 5 more files")
    assert last.startswith("Error: 25 files could not be indexed in full")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["index", "-o", "kb.db"], "name the files or folders to index, or what to --delete"),
        (["index", "docs"], "Missing option '-o'"),
        (["index", "nowhere", "-o", "kb.db"], "nowhere: no such file or folder"),
        (["index", "-o", "kb.db", "--delete", "a"], "there is no knowledge base kb.db"),
        (
            ["index", "docs", "-o", "kb.db", "--embedder", "nobody"],
            "nobody is not a bundle or model folder; give one, or one of minilm",
        ),
        (
            ["index", "docs", "-o", "kb.db", "--embedder", "none", "--passage-tokens", "3"],
            "at least 16 tokens, got 3",
        ),
        (
            ["index", "docs", "-o", "kb.db", "--embedder", "none", "--passage-tokens", "0"],
            "--passage-tokens: a passage must be allowed at least 16 tokens, got 0",
        ),
        (
            ["index", "docs", "-o", "kb.db", "--embedder", "none", "--encoding", "utf9"],
            "unknown encoding 'utf9'",
        ),
        (["ask", "kb.db", "a"], "there is no knowledge base kb.db"),
        (["ask", "kb.db"], "Missing argument 'QUESTION'"),
        (["ask", "docs", "a"], "there is no knowledge base docs"),
    ],
)
def test_a_wrong_call_is_refused_in_one_line(arguments: list[str], said: str) -> None:
    done = ftool(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_another_embedder_is_refused(embedder_bundle: Path, tmp_path: Path) -> None:
    assert ftool("index", "docs", "-o", "kb.db", "--embedder", embedder_bundle).exit_code == 0
    other = shutil.copytree(embedder_bundle, tmp_path / "other")
    manifest = Manifest.read(other)
    replace(manifest, input=replace(manifest.input, max_length=manifest.input.max_length - 1)).write(other)
    for command in (["ask", "kb.db", "a"], ["index", "docs", "-o", "kb.db"]):
        done = ftool(*command, "--embedder", other)
        assert done.exit_code == 2
        assert "fingerprint" in done.stderr


def test_a_refused_embedder_is_not_loaded(embedder_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: Any, **__: Any) -> Any:
        raise AssertionError("an embedder was loaded or exported")

    build_index(Path("words.db"), [Path("docs")], IndexSettings(embedder="none"))
    build_index(Path("kb.db"), [Path("docs")], IndexSettings(embedder=str(embedder_bundle)))
    with closing(sqlite3.connect("kb.db")) as connection, connection:
        connection.execute("UPDATE meta SET value = 'another' WHERE key = 'fingerprint'")
    monkeypatch.setattr(build, "BundledEmbedder", load)
    refused = ftool("index", "docs", "-o", "kb.db", "--embedder", embedder_bundle)
    assert (
        "kb.db was made with an embedder of fingerprint another, and the fingerprint of this one is "
        in refused.stderr
    )
    monkeypatch.setattr(build, "embedder_bundle", load)
    refused = ftool("index", "docs", "-o", "words.db", "--embedder", "minilm")
    assert "words.db was made without embeddings, and this call has an embedder; leave" in refused.stderr


def test_a_question_that_nothing_fits_is_told(embedder_bundle: Path) -> None:
    ftool("index", "docs", "-o", "words.db", "--embedder", "none")
    done = ftool("ask", "words.db", "zebra?")
    assert (done.exit_code, done.output) == (
        0,
        "nothing found: no passage contains any of the words\n",
    )
    ftool("index", "docs", "-o", "kb.db", "--embedder", embedder_bundle)
    done = ftool("ask", "kb.db", "zebra?", "--min-score", "1")
    assert done.exit_code == 0
    assert done.output.startswith("nothing found: not even the best passage fits (its score is 0.")
    nothing = json.loads(ftool("ask", "kb.db", "zebra?", "--min-score", "1", "--json").stdout)
    assert nothing["passages"] == []
    assert 0 <= nothing["best_score"] < 1
    shown = ftool("ask", "kb.db", "zebra?", "--min-score", "0", "-k", "1").output
    assert shown.startswith(f"{nothing['best_score']:.2f}  docs/")
    refused = ftool("ask", "kb.db", "zebra?", "--min-score", "2")
    assert (refused.exit_code, "2.0 is not in the range 0<=x<=1" in refused.stderr) == (2, True)
