"""The models of a knowledge base, an embedder and a reader: their interfaces, and models loaded from bundles."""

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
RERANKER_TASKS = ("text-ranking", "text-classification")

# Fields of the input contract that fingerprints in older knowledge bases do not cover, with their defaults.
_ADDED_LATER: Mapping[str, object] = {
    "truncation_side": "right",
    "split_special_tokens": False,
    "vocabulary": None,
}


class Embedder(Protocol):
    """Interface of a model that turns texts into vectors; more similar texts have larger inner products."""

    @property
    def dimension(self) -> int:
        """The length of a vector."""

    @property
    def fingerprint(self) -> str:
        """A string that identifies the model: it is equal for two models exactly if both give equal vectors."""

    def __call__(self, texts: Sequence[str], *, kind: Kind) -> NDArray[np.float32]:
        """Return the vectors of texts, float32 (texts, dimension); `kind` says if the texts are queries or passages."""


class ReadAnswer(Protocol):
    """Interface of a reader's answer from one context."""

    @property
    def text(self) -> str | None:
        """The answer; None if the context contains no answer."""

    @property
    def start(self) -> int | None:
        """The index of the answer's first character in the context; None without an answer."""

    @property
    def end(self) -> int | None:
        """The index after the answer's last character; None without an answer."""

    @property
    def score(self) -> float:
        """The reader's confidence in the answer; without an answer, the confidence that the context contains none."""

    @property
    def margin(self) -> float:
        """The answer's score minus the score of "no answer"; it decides between answers from several contexts."""


class Reader(Protocol):
    """Interface of a model that extracts answers from contexts."""

    def __call__(self, asked: Sequence[Mapping[str, str]]) -> Sequence[ReadAnswer]:
        """Return the answer to each mapping of "question" and "context", in order."""


class Reranker(Protocol):
    """Interface of a model that reads a question and a passage together, and says how well the passage answers it."""

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> Sequence[float]:
        """Return a score for each pair of a question and a passage, in order; higher is better."""


class BundledReranker:
    """A reranker loaded from a bundle: a cross-encoder with one number, or a classifier of pairs with two labels.

    Of two labels, the second is the one of passages that answer the question, as in data with the labels 0 and 1.
    `close` releases the model.
    """

    def __init__(self, folder: Path | str, **loading: Any) -> None:
        """Load the bundle in `folder`; `loading` has further arguments for `ftool_runtime.load`.

        Raises the errors of `load`, and BundleError if the bundle's model does not score pairs of texts.
        """
        manifest = _manifest(Path(folder), *RERANKER_TASKS)
        outputs = 1 if manifest.regression and not manifest.labels else len(manifest.labels)
        if not manifest.pairs or outputs != (1 if manifest.regression else 2):
            raise BundleError(
                f"{folder} can't rank passages: that needs a model that takes a pair of texts and gives a number or "
                "one of two labels"
            )
        self._regression = manifest.regression
        self._model = load(folder, **loading)

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Return a score for each pair of a question and a passage. Raises the errors of the bundle's model."""
        answers = self._model(list(pairs))
        if self._regression:
            return [float(answer.value) for answer in answers]
        return [float(answer.scores[1]) for answer in answers]

    def close(self) -> None:
        """Release the model."""
        self._model.close()


class BundledEmbedder:
    """An embedder loaded from a bundle; `close` releases the model."""

    def __init__(self, folder: Path | str, **loading: Any) -> None:
        """Load the bundle in `folder`; `loading` has further arguments for `ftool_runtime.load`.

        Raises the errors of `load`, and BundleError if the bundle's model is not an embedder.
        """
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
        """Return the vectors of texts, float32 (texts, dimension). Raises the errors of the bundle's model."""
        vectors: NDArray[np.float32] = self._model(list(texts), kind=kind)
        if self._scaled:
            vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12))
        return vectors

    def close(self) -> None:
        """Release the model."""
        self._model.close()


def load_reader(folder: Path | str, **loading: Any) -> Any:
    """Return the reader loaded from the bundle in `folder`.

    `loading` has further arguments for `ftool_runtime.load`. Raises the errors of `load`, and BundleError if the
    bundle's model does not extract answers.
    """
    _manifest(Path(folder), READER_TASK)
    return load(folder, **loading)


def fingerprint(manifest: Manifest) -> str:
    """Return the SHA-256 (hexadecimal) of everything that determines a bundle's vectors.

    The hash covers the graph, the tokenizer, and the manifest's input and embedding contracts. Fields that later
    versions of ftool added to the input contract are left out if they have their defaults, so that the fingerprints in
    older knowledge bases still match.
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
    """Return the fingerprint of the embedder bundle in `folder`, without loading the model.

    Raises BundleError if the folder is not a bundle of an embedder.
    """
    return fingerprint(_manifest(Path(folder), EMBEDDER_TASK))


def recorded_path(bundle: Path, knowledge_base: Path) -> str:
    """Return the path of a bundle in the form that is recorded in the file `knowledge_base`.

    If the bundle is inside the knowledge base's folder, the path is relative, so that the folder can be moved or
    shipped as a whole; otherwise the path is absolute.
    """
    bundle, base_folder = bundle.resolve(), knowledge_base.resolve().parent
    return bundle.relative_to(base_folder).as_posix() if bundle.is_relative_to(base_folder) else str(bundle)


def found_path(recorded: str, knowledge_base: Path) -> Path:
    """Return the absolute path of a bundle whose path is `recorded` in the file `knowledge_base`."""
    return Path(os.path.normpath(knowledge_base.resolve().parent / recorded))


def _manifest(folder: Path, *tasks: str) -> Manifest:
    manifest = Manifest.read(folder)
    if manifest.task not in tasks:
        raise BundleError(f"{folder} is a bundle for {manifest.task}; give one for {' or '.join(tasks)}")
    return manifest
