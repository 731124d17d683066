"""Fixtures: an embedder that hashes words instead of running a model, and indexing with this embedder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.word_embedder import WordEmbedder

from ftool.search.build import Built, IndexSettings, build_index

Indexing = Callable[..., Built]


@pytest.fixture
def embedder() -> WordEmbedder:
    return WordEmbedder()


@pytest.fixture
def other_embedder() -> WordEmbedder:
    return WordEmbedder("another model")


@pytest.fixture
def docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of three documents, in the current folder."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "docs"
    (folder / "deep").mkdir(parents=True)
    (folder / "keeping.md").write_text("# Keeping\n\nMessages are kept for **thirty days**.\n")
    (folder / "sharing.html").write_text("<title>Sharing</title><p>Addresses go to <b>carriers</b>.</p>")
    (folder / "deep" / "note.txt").write_text("Nobody sells your data.\n")
    return folder


@pytest.fixture
def index(tmp_path: Path, embedder: WordEmbedder) -> Indexing:
    """Indexes paths into kb.db in the current folder, with the word embedder by default."""

    def run(*roots: str, **options: Any) -> Built:
        flags = {name: options.pop(name) for name in ("delete", "sync") if name in options}
        settings = IndexSettings(**{"embedder": embedder, **options})
        return build_index(Path("kb.db"), [Path(root) for root in roots], settings, **flags)

    return run
