"""The models of a knowledge base: an embedder and an optional reader, from bundles or provided by the app."""

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

# Input fields that fingerprints of older knowledge bases do not cover, with their defaults.
_ADDED_LATER: Mapping[str, object] = {"truncation_side": "right", "split_special_tokens": False}


class Embedder(Protocol):
    """Turns texts into vectors; a larger inner product means more similar texts."""

    @property
    def dimension(self) -> int:
        """The length of a vector."""

    @property
    def fingerprint(self) -> str:
        """Identifies the vectors: equal for two models exactly if their vectors are equal."""

    def __call__(self, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:
        """The vectors of texts, float32 (texts, dimension)."""


class ReadAnswer(Protocol):
    """A reader's answer from one context."""

    @property
    def text(self) -> str | None:
        """The answer; None if the context contains none."""

    @property
    def start(self) -> int | None:
        """The position of its first character in the context; None without an answer."""

    @property
    def end(self) -> int | None:
        """The position after its last character; None without an answer."""

    @property
    def score(self) -> float:
        """The reader's confidence in the answer, or in there being none."""

    @property
    def margin(self) -> float:
        """How far the answer scores above "no answer"; used to choose among the answers of several contexts."""


class Reader(Protocol):
    """Extracts answers from contexts."""

    def __call__(self, asked: Sequence[Mapping[str, str]]) -> Sequence[ReadAnswer]:
        """The answer for each pair of a "question" and a "context", in order."""


class BundledEmbedder:
    """An embedder loaded from a bundle. `close` releases it."""

    def __init__(self, folder: Path | str, **loading: Any) -> None:
        """Load the bundle in `folder`. Takes the other arguments of `ftool_runtime.load` and raises its errors."""
        self.folder = Path(folder)
        manifest = _manifest(self.folder, EMBEDDER_TASK)
        assert manifest.embedding is not None
        self._dimension = manifest.embedding.dimension
        self._scaled = manifest.embedding.similarity == "cosine" and not manifest.embedding.normalize
        self._fingerprint = fingerprint(manifest)
        self._model = load(self.folder, **loading)

    @property
    def dimension(self) -> int:
        """The length of a vector."""
        return self._dimension

    @property
    def fingerprint(self) -> str:
        """The bundle's fingerprint."""
        return self._fingerprint

    def __call__(self, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:
        """The vectors of texts, float32 (texts, dimension). Raises the errors of the bundle's model."""
        vectors: NDArray[np.float32] = self._model(list(texts), kind=kind)
        if self._scaled:
            vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12))
        return vectors

    def close(self) -> None:
        """Release the model."""
        self._model.close()


def load_reader(folder: Path | str, **loading: Any) -> Any:
    """Load the reader bundle in `folder`. Takes the arguments of `ftool_runtime.load` and raises its errors."""
    _manifest(Path(folder), READER_TASK)
    return load(folder, **loading)


def fingerprint(manifest: Manifest) -> str:
    """SHA-256, in hex, of all that determines a bundle's vectors: graph, tokenizer, input and pooling settings.

    Input fields that were added later are left out at their defaults, so that older knowledge bases still match.
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
    """The fingerprint of the embedder bundle in `folder`, without loading it. Raises BundleError if it is not one."""
    return fingerprint(_manifest(Path(folder), EMBEDDER_TASK))


def recorded_path(bundle: Path, knowledge_base: Path) -> str:
    """The path of a bundle as recorded in the file `knowledge_base`.

    It is relative if the bundle is inside the file's folder, so that the folder can be moved and shipped as a whole,
    and absolute otherwise.
    """
    bundle, beside = bundle.resolve(), knowledge_base.resolve().parent
    return bundle.relative_to(beside).as_posix() if bundle.is_relative_to(beside) else str(bundle)


def found_path(recorded: str, knowledge_base: Path) -> Path:
    """The path of a bundle, resolved from the one recorded in `knowledge_base`."""
    return Path(os.path.normpath(knowledge_base.resolve().parent / recorded))


def _manifest(folder: Path, task: str) -> Manifest:
    manifest = Manifest.read(folder)
    if manifest.task != task:
        raise BundleError(f"{folder} is a bundle for {manifest.task}; give one for {task}")
    return manifest
