"""`Embedder`: feature extraction, which turns texts into vectors and compares them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ftool_runtime.bundle.manifest import EmbeddingContract, Manifest
from ftool_runtime.errors import BundleError, InputError, is_one_of
from ftool_runtime.models.encoder_model import EncoderModel
from ftool_runtime.session.encoder_engine import EncoderEngine
from ftool_runtime.text.encode import TokenEncoder, Tokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Kind = Literal["query", "passage"]
KINDS: tuple[Kind, ...] = ("query", "passage")

EmbedderInput = str | Mapping[str, str]  # a text, or a mapping of "text" and its "kind"


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """The vector of a text.

    Attributes:
        vector: float32 (dimension,).
        truncated: whether part of the text was cut off, because it was longer than the model reads.
        input: the given input; None if the vector was not made by a model's call.
    """

    vector: NDArray[np.float32]
    truncated: bool = False
    input: EmbedderInput | None = field(default=None, repr=False)

    def to_json(self, given: EmbedderInput | None = None) -> dict[str, Any]:
        """Return the answer as JSON values, as `predict` prints it; `given`, if not None, replaces `input`.

        Each number is written with the fewest digits that identify its float32 value.
        """
        given = self.input if given is None else given
        fields = {"text": given} if isinstance(given, str) else dict(given or {})
        numbers = [float(str(number)) for number in self.vector]
        return {**fields, "embedding": numbers, "truncated": self.truncated}


class Embedder(EncoderModel[EmbedderInput, Embedding]):
    """A loaded embedder. Call it with one text or many; several threads can call it at the same time.

    A call returns only vectors; `embed` and `stream` return an Embedding for each text, which says if the text was cut.
    """

    tasks: ClassVar[tuple[str, ...]] = ("feature-extraction",)
    call_options: ClassVar[tuple[str, ...]] = ("kind",)

    @classmethod
    def width(cls, manifest: Manifest) -> int:
        """Return the number of outputs for each row: the dimension of a vector."""
        return _contract(manifest).dimension

    def __init__(self, folder: Path, engine: EncoderEngine, tokenizer: "Tokenizer") -> None:
        """Make a model from `engine`, which runs the bundle in `folder`, and the bundle's tokenizer."""
        super().__init__(folder, engine, tokenizer)
        self._contract = _contract(engine.manifest)
        tokens = TokenEncoder(self._tokenizer, engine.manifest.input, self._limits)
        self._encoders: dict[str | None, TokenEncoder] = {
            None: tokens,
            **{kind: tokens.with_prefix(prompt) for kind, prompt in self._contract.prompts.items()},
        }
        self.dimension = self._contract.dimension
        self.normalized = self._contract.normalize

    def __call__(
        self, texts: EmbedderInput | Iterable[EmbedderInput], *, kind: Kind | None = None
    ) -> NDArray[np.float32]:
        """Return the vector of one text, or of many in one call.

        Args:
            texts: a string, or several in a list or another iterable. Each vector is independent of the other texts.
            kind: "query" for a question or search term, or "passage" for a text to find. The model's prompt for this
                kind is put before the text; for models without such prompts, the kind has no effect.

        Returns:
            float32 (dimension,) for a string; for several strings (texts, dimension) in the same order.

        Raises:
            InputError: a text is not a string, blank or not Unicode (`row` says which), or the kind is unknown.
            ClosedError: after `close()`.
            OtherProcessError: in a child of the process that loaded the model.
        """
        options = self._settle(kind=kind)
        if isinstance(texts, str | Mapping):
            return self._one(texts, options).vector
        found = self._many(texts, options)
        return np.stack([one.vector for one in found]) if found else np.empty((0, self.dimension), np.float32)

    @overload
    def embed(  # type: ignore[overload-overlap]  # a str is Iterable[str] too, and the first overload wins
        self, texts: EmbedderInput, *, kind: Kind | None = None
    ) -> Embedding: ...

    @overload
    def embed(self, texts: Iterable[EmbedderInput], *, kind: Kind | None = None) -> list[Embedding]: ...

    def embed(
        self, texts: EmbedderInput | Iterable[EmbedderInput], *, kind: Kind | None = None
    ) -> Embedding | list[Embedding]:
        """Return an Embedding for each text, which says whether the text was cut.

        Arguments and errors are the same as for a call.
        """
        options = self._settle(kind=kind)
        return self._one(texts, options) if isinstance(texts, str | Mapping) else self._many(texts, options)

    def similarity(self, first: ArrayLike, second: ArrayLike) -> NDArray[np.float32]:
        """Return the similarity of texts from vectors: cosines (-1 to 1), or dot products if the model uses these.

        Args:
            first: a vector (dimension,), or vectors (n, dimension).
            second: a vector (dimension,), or vectors (m, dimension).

        Returns:
            float32 (n, m), without the axis of an argument that is a single vector; () for two single vectors.

        Raises InputError unless the arguments are vectors of this model's dimension.
        """
        left, right = (self._comparable(side) for side in (first, second))
        return np.asarray(left @ right.T, dtype=np.float32)

    def _settle(self, *, kind: Kind | None = None) -> Kind | None:
        _check_kind(kind)
        return kind

    def _encode(self, given: EmbedderInput, row: int, options: Kind | None) -> Tokens:
        kind: str | None = options
        text: Any = given
        if isinstance(given, Mapping):
            if not given.keys() <= {"text", "kind"} or "text" not in given:
                raise InputError(f'text {row} must be a string, or a "text" with its "kind"', row=row)
            kind, text = given.get("kind", kind), given["text"]
            _check_kind(kind)
        return self._encoders.get(kind, self._encoders[None]).encode(text, row)

    def _decode(
        self, given: EmbedderInput, encoded: Tokens, outputs: NDArray[np.float32], _: Kind | None
    ) -> Embedding:
        return Embedding(outputs, encoded.truncated, given)

    def _comparable(self, vectors: ArrayLike) -> NDArray[np.float32]:
        try:
            values = np.asarray(vectors, dtype=np.float32)
        except (ValueError, TypeError) as error:
            raise InputError(
                f"similarity compares vectors, as a call of the embedder returns them, got {str(vectors)[:60]!r}"
            ) from error
        if values.ndim not in (1, 2) or values.shape[-1] != self.dimension:
            raise InputError(
                f"vectors to compare must be (n, {self.dimension}) or ({self.dimension},), got {values.shape}"
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
    if kind is not None and not is_one_of(kind, KINDS):
        raise InputError(f"a text's kind is {' or '.join(KINDS)}, got {kind!r}")
