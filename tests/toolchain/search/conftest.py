"""Fixtures: an embedder that hashes words in place of a model, and indexing with it."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ftool.search.build import Built, IndexSettings, build_index

Indexing = Callable[..., Built]


class WordEmbedder:
    """Hashes words to 16 dimensions. Counts the texts that it embedded."""

    dimension = 16

    def __init__(self, fingerprint: str = "words") -> None:
        self.fingerprint = fingerprint
        self.texts: list[str] = []

    def __call__(self, texts: Sequence[str], *, kind: str) -> NDArray[np.float32]:
        self.texts += texts
        vectors = np.full((len(texts), self.dimension), 1e-3, np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            for word in text.lower().split():
                vector[hashlib.sha256(word.encode()).digest()[0] % self.dimension] += 1
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


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
