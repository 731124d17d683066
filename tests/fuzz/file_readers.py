"""Readers of files outside bundles: data sets, texts to predict, documents and knowledge bases."""

import sqlite3
import zlib
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from ftool.data.inspection.report import inspect_dataset
from ftool.data.load import load_dataset
from ftool.errors import DataError
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.recipe.shipped import shipped_recipe, shipped_recipes
from ftool.report.write import write_report
from ftool.search.build import IndexSettings, build_index
from ftool.tasks.registry import find_task, task_names
from ftool.workspace import ModelFolder
from ftool_runtime.errors import InputError
from ftool_runtime.knowledge import KnowledgeBase
from ftool_runtime.limits import Limits
from ftool_runtime.text.files import read_texts
from tests.fuzz.seeds import data_seeds
from tests.fuzz.target import Prepared
from tests.helpers.report_folders import write_bench
from tests.helpers.tiny_bundles import write_bundle
from tests.helpers.word_embedder import WordEmbedder

_LIMITS: Final = Limits(sql_steps=10_000_000)  # about a second
_QUESTIONS: Final = ("how long are messages kept", 'carriers OR 漢字 "')


def data(name: str, *tasks: str) -> Callable[[Path], Prepared]:
    """Return the `prepare` of a target that reads a data file as the data of one of some tasks, by default of all.

    The content decides which task it is.

    `seeds.data_seeds` makes its seeds.
    """
    rows = map(find_task, tasks or task_names())
    chosen = [*{row.reader: (row.reader, row.name) for row in rows}.values()]

    def prepare(folder: Path) -> Prepared:
        path = folder / name
        settings = DataSettings(path=str(path))

        def read(content: bytes) -> None:
            path.write_bytes(content)
            reader, task = chosen[zlib.crc32(content) % len(chosen)]
            inspect_dataset(load_dataset(reader, settings, quiet=True), task).text()

        seeds = data_seeds(name)
        with suppress(DataError):
            read(seeds[0])  # imports what reads such files
        return Prepared(read, seeds)

    return prepare


def recipe(folder: Path) -> Prepared:
    """Prepare a recipe that is read."""
    path = folder / "recipe.toml"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        Recipe.read(path)

    return Prepared(read, [shipped.read_bytes() for shipped in shipped_recipes().values()])


def benchmark(folder: Path) -> Prepared:
    """Prepare the report of a benchmark, of which `ftool report` makes a page."""
    model = ModelFolder(folder)
    model.recipe.write_bytes(shipped_recipe("intents").read_bytes())
    write_bundle(model.bundle)
    write_bench(model)
    path = model.reports / "bench.json"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        write_report(folder)

    return Prepared(read, [path.read_bytes()])


def texts(name: str, *seeds: str) -> Callable[[Path], Prepared]:
    """Return the `prepare` of a target that reads a file of texts as `predict --input` does."""

    def prepare(folder: Path) -> Prepared:
        path = folder / name

        def read(content: bytes) -> None:
            path.write_bytes(content)
            for _ in read_texts(path, keep_blank=True):
                pass

        return Prepared(read, [seed.encode() for seed in seeds])

    return prepare


def document(name: str, *seeds: str) -> Callable[[Path], Prepared]:
    """Return the `prepare` of a target that indexes a document, and reads it back from the knowledge base."""

    def prepare(folder: Path) -> Prepared:
        path, base = folder / name, folder / "kb.db"
        settings = IndexSettings(embedder="none", tokens=24)

        def read(content: bytes) -> None:
            path.write_bytes(content)
            built = build_index(base, [path], settings, sync=True)
            assert all(name in document for document in built.report.failed)
            with KnowledgeBase.open(base) as opened:
                for document in opened.documents():
                    text = opened.text(document)
                    for passage in opened.search(text[:80], 3) if text.strip() else ():
                        assert (
                            passage.document != document or text[passage.start : passage.end] == passage.text
                        )

        return Prepared(read, [seed.encode() for seed in seeds])

    return prepare


def searched(folder: Path) -> Prepared:
    """Prepare a knowledge base that is opened and searched."""
    path = folder / "kb.db"
    seed = _base(folder)

    def read(content: bytes) -> None:
        _replace(path, content)
        with KnowledgeBase.open(path, embedder=WordEmbedder(), limits=_LIMITS) as base:
            base.info()
            for question in _QUESTIONS:
                base.search(question)
                base.ask(question, mode="bm25")
            for document in base.documents()[:3]:
                with suppress(InputError):
                    base.text(document)

    return Prepared(read, [seed])


def indexed(folder: Path) -> Prepared:
    """Prepare a knowledge base into which a document is indexed."""
    path, document = folder / "kb.db", folder / "more.txt"
    seed = _base(folder)
    document.write_text("Messages go to carriers.\n")
    settings = IndexSettings(embedder=WordEmbedder())

    def read(content: bytes) -> None:
        _replace(path, content)
        build_index(path, [document], settings)

    return Prepared(read, [seed])


def _base(folder: Path) -> bytes:
    """Return a small knowledge base of three documents, with the vectors of a word embedder."""
    documents = folder / "documents"
    documents.mkdir()
    for name, text in (
        ("keeping.md", "# Keeping\n\nMessages are kept for thirty days.\n\nUntil you close them.\n"),
        ("sharing.html", "<title>Sharing</title><p>Addresses go to <b>carriers</b>.</p>"),
        ("note.txt", "Nobody sells your data. 漢字かな交じり文。\n"),
    ):
        (documents / name).write_text(text, encoding="utf-8")
    path = folder / "seed.db"
    build_index(path, [documents], IndexSettings(embedder=WordEmbedder(), approximate=True))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA page_size = 1024")
        connection.execute("VACUUM")
    return path.read_bytes()


def _replace(path: Path, content: bytes) -> None:
    for end in ("-wal", "-shm", "-journal"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    path.write_bytes(content)
