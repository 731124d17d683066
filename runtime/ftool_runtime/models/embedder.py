"""Feature extraction: a text's meaning as a vector, and how near two of them are."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ftool_runtime.bundle.manifest import EmbeddingContract, Manifest
from ftool_runtime.errors import BundleError, InputError
from ftool_runtime.models.encoder_model import EncoderModel
from ftool_runtime.models.inputs import cut, listed
from ftool_runtime.session.encoder_engine import Engine, Outputs
from ftool_runtime.text.encode import TokenEncoder, Tokens

Kind = Literal["query", "passage"]
KINDS: tuple[Kind, ...] = ("query", "passage")

Vectors = NDArray[np.float32]  # (texts, dimension)


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """A text's vector.

    Attributes:
        vector: float32 (dimension,).
        truncated: the text was longer than the model takes and its end was not read.
    """

    vector: NDArray[np.float32]
    truncated: bool = False

    def to_json(self, given: str | Mapping[str, str]) -> dict[str, Any]:
        """The answer to `given` as `predict` prints it: JSON values, numbers as short as they name a float32."""
        fields = {"text": given} if isinstance(given, str) else dict(given)
        numbers = [float(str(number)) for number in self.vector]
        return {**fields, "embedding": numbers, "truncated": self.truncated}


class Embedder(EncoderModel):
    """A loaded embedder. Call it on one text or on many; several threads may do so at once."""

    call_options: ClassVar[tuple[str, ...]] = ("kind",)

    @classmethod
    def width(cls, manifest: Manifest) -> int:
        """The vector's numbers."""
        return _contract(manifest).dimension

    def __init__(self, folder: Path, engine: Engine) -> None:
        """Wrap the engine of the bundle in `folder`."""
        super().__init__(folder, engine)
        self._contract = _contract(engine.manifest)
        self._encoders: dict[str | None, TokenEncoder] = {
            kind: engine.tokens.with_prefix(prompt) for kind, prompt in self._contract.prompts.items()
        }
        self.dimension = self._contract.dimension
        self.normalized = self._contract.normalize

    def __call__(self, texts: str | Iterable[str], *, kind: Kind | None = None) -> NDArray[np.float32]:
        """The vector of one text, or of many in one call.

        Args:
            texts: a string, or strings; a vector does not depend on the other texts.
            kind: "query" for what is looked for, "passage" for what should be found, where the model was trained
                with a prompt before each, which then goes before the text; it changes nothing where it was not.

        Returns:
            float32 (dimension,) for a string; for strings (texts, dimension) in the same order.

        Raises:
            InputError: a text is no string, blank or not Unicode (`row` tells which), or the kind is unknown.
            ClosedError: after `close()`.
            OtherProcessError: in a child of the process that loaded the model.
        """
        if isinstance(texts, str | Mapping):
            vector: NDArray[np.float32] = self._vectors(self._rows([texts], 0, kind))[0]
            return vector
        return self._vectors(self._rows(listed(texts), 0, kind))

    def similarity(self, first: ArrayLike, second: ArrayLike) -> NDArray[np.float32]:
        """How alike texts are by their vectors: cosines, -1 to 1, or dot products where the model is made for these.

        Args:
            first: a vector (dimension,), or some (n, dimension).
            second: likewise (m, dimension).

        Returns:
            float32 (n, m); an axis is missing where a single vector was given, so that two give a number ().

        Raises InputError for what is no vectors of this model's dimension, such as texts.
        """
        left, right = (self._comparable(side) for side in (first, second))
        return np.asarray(left @ right.T, dtype=np.float32)

    def predict_iter(
        self, texts: Iterable[str], *, batch_size: int = 64, kind: Kind | None = None
    ) -> Iterator[Embedding]:
        """Embed a stream of texts, in order, with at most `batch_size` of them in memory.

        Texts are taken from `texts` only as vectors are asked for. Raises InputError at once where an option is
        wrong, and as `__call__` does on the way; a text's `row` counts from the start of the stream.
        """
        return itertools.chain.from_iterable(self.predict_batches(cut(texts, batch_size), kind=kind))

    def predict_batches(
        self, batches: Iterable[Sequence[str]], *, kind: Kind | None = None
    ) -> Iterator[list[Embedding]]:
        """Embed a stream of lists of texts, as long as the caller makes them: the vectors of each list.

        Raises as `predict_iter`; a text's `row` counts from the start of the stream.
        """
        _check_kind(kind)
        return self._stream(batches, kind)

    def outputs(self, inputs: Iterable[Any]) -> Outputs:
        """The vectors, float32 (inputs, dimension); an input is a text, or a dict of "text" and its "kind"."""
        return self._vectors(self._rows(listed(inputs), 0, None))

    def _stream(self, batches: Iterable[Sequence[str]], kind: Kind | None) -> Iterator[list[Embedding]]:
        first_row = 0
        for batch in batches:
            rows = self._rows(batch, first_row, kind)
            vectors = self._vectors(rows)
            yield [Embedding(vector, row.truncated) for vector, row in zip(vectors, rows, strict=True)]
            first_row += len(batch)

    def _rows(self, inputs: Sequence[Any], first_row: int, kind: Kind | None) -> list[Tokens]:
        _check_kind(kind)
        return [self._row(given, row, kind) for row, given in enumerate(inputs, first_row)]

    def _row(self, given: Any, row: int, kind: Kind | None) -> Tokens:
        if isinstance(given, Mapping):
            if not given.keys() <= {"text", "kind"} or "text" not in given:
                raise InputError(f'text {row} must be a string, or a "text" with its "kind"', row=row)
            kind = given.get("kind", kind)
            _check_kind(kind)
            given = given["text"]
        return self._encoders.get(kind, self._engine.tokens).encode(given, row)

    def _vectors(self, rows: Sequence[Tokens]) -> Vectors:
        vectors = np.asarray(self._engine.outputs(rows))
        if not np.isfinite(vectors).all():
            row = int((~np.isfinite(vectors)).any(axis=-1).argmax())
            raise BundleError(
                f"the model's vector of text {row} is not finite; run `ftool parity` on its checkpoint"
            )
        return vectors

    def _comparable(self, vectors: ArrayLike) -> NDArray[np.float32]:
        try:
            values = np.asarray(vectors, dtype=np.float32)
        except (ValueError, TypeError) as error:
            raise InputError(
                f"similarity: give vectors, as the embedder's call makes them, got {str(vectors)[:60]!r}"
            ) from error
        if values.ndim not in (1, 2) or values.shape[-1] != self.dimension:
            raise InputError(
                f"vectors to compare are (n, {self.dimension}) or ({self.dimension},), got {values.shape}"
            )
        if self._contract.similarity == "dot":
            return values
        lengths = np.linalg.norm(values, axis=-1, keepdims=True)
        return np.asarray(values / np.maximum(lengths, 1e-12), dtype=np.float32)


def _contract(manifest: Manifest) -> EmbeddingContract:
    if manifest.embedding is None:
        raise BundleError('the manifest has no "embedding", which feature-extraction needs; export it again')
    return manifest.embedding


def _check_kind(kind: object) -> None:
    if kind is not None and kind not in KINDS:
        raise InputError(f"a text's kind is {' or '.join(KINDS)}, got {kind!r}")
