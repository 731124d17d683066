"""The two models that a knowledge base works with: an embedder, and perhaps a reader; bundles, or an app's own."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.paths import TOKENIZER_FILE
from ftool_runtime.errors import BundleError
from ftool_runtime.loading import load

Kind = Literal["query", "passage"]

EMBEDDER_TASK = "feature-extraction"
READER_TASK = "question-answering"

_ADDED_LATER: Mapping[str, object] = {
    "truncation_side": "right",
    "split_special_tokens": False,
}  # and their defaults


class Embedder(Protocol):
    """Makes vectors of texts; the larger their inner product, the nearer two texts are."""

    @property
    def dimension(self) -> int:
        """Numbers in a vector."""

    @property
    def fingerprint(self) -> str:
        """The same for models whose vectors are the same, and for those alone."""

    def __call__(self, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:
        """The vectors of texts, float32 (texts, dimension)."""


class ReadAnswer(Protocol):
    """What a reader found in one context."""

    @property
    def text(self) -> str | None:
        """The answer; None where the context holds none."""

    @property
    def start(self) -> int | None:
        """Its first character in the context; None without an answer."""

    @property
    def end(self) -> int | None:
        """The character past its last, likewise."""

    @property
    def score(self) -> float:
        """How sure the reader is of that."""

    @property
    def margin(self) -> float:
        """How much better the answer is than none: the largest of several contexts has the answer to a question."""


class Reader(Protocol):
    """Takes answers from contexts."""

    def __call__(self, asked: Sequence[Mapping[str, str]]) -> Sequence[ReadAnswer]:
        """What each pair of a "question" and a "context" says, in order."""


class BundledEmbedder:
    """The embedder in a bundle, as a knowledge base needs it. `close` lets go of it."""

    def __init__(self, folder: Path | str, **loading: Any) -> None:
        """Load the bundle in `folder`; further arguments are those of `ftool_runtime.load`, and so are the errors."""
        self.folder = Path(folder)
        manifest = _manifest(self.folder, EMBEDDER_TASK)
        assert manifest.embedding is not None
        self._dimension = manifest.embedding.dimension
        self._scaled = manifest.embedding.similarity == "cosine" and not manifest.embedding.normalize
        self._fingerprint = fingerprint(manifest)
        self._model = load(self.folder, **loading)

    @property
    def dimension(self) -> int:
        """Numbers in a vector."""
        return self._dimension

    @property
    def fingerprint(self) -> str:
        """That of the bundle."""
        return self._fingerprint

    def __call__(self, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:
        """The vectors of texts, float32 (texts, dimension). Raises as the bundle's model."""
        vectors: NDArray[np.float32] = self._model(list(texts), kind=kind)
        if self._scaled:
            vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12))
        return vectors

    def close(self) -> None:
        """Let go of the model."""
        self._model.close()


def load_reader(folder: Path | str, **loading: Any) -> Any:
    """The reader in the bundle in `folder`. Arguments and errors are those of `ftool_runtime.load`."""
    _manifest(Path(folder), READER_TASK)
    return load(folder, **loading)


def fingerprint(manifest: Manifest) -> str:
    """Return SHA-256, in hex, over what makes a bundle's vectors: graph, tokenizer, and how texts are fed and pooled.

    Fields added to the inputs later are left out at their defaults, so that older knowledge bases still match.
    """
    inputs = asdict(manifest.input)
    for name, usual in _ADDED_LATER.items():
        if inputs[name] == usual:
            del inputs[name]
    made_by = {
        "files": {
            name: record.sha256
            for name, record in sorted(manifest.files.items())
            if name.startswith("onnx/") or name == TOKENIZER_FILE
        },
        "input": inputs,
        "embedding": asdict(manifest.embedding) if manifest.embedding else None,
    }
    return hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()


def bundle_fingerprint(folder: Path | str) -> str:
    """That of the embedder in the bundle in `folder`, which is not loaded. Raises BundleError where it is none."""
    return fingerprint(_manifest(Path(folder), EMBEDDER_TASK))


def recorded_path(bundle: Path, knowledge_base: Path) -> str:
    """How the file `knowledge_base` records where a bundle lies.

    By its path from the file's folder where it lies in there, so that the folder can be moved and shipped as one;
    otherwise by its absolute path.
    """
    bundle, beside = bundle.resolve(), knowledge_base.resolve().parent
    return bundle.relative_to(beside).as_posix() if bundle.is_relative_to(beside) else str(bundle)


def found_path(recorded: str, knowledge_base: Path) -> Path:
    """Where a bundle lies of which `knowledge_base` has recorded the path."""
    return Path(os.path.normpath(knowledge_base.resolve().parent / recorded))


def _manifest(folder: Path, task: str) -> Manifest:
    manifest = Manifest.read(folder)
    if manifest.task != task:
        raise BundleError(f"{folder} is a bundle for {manifest.task}, and {task} is needed here")
    return manifest
