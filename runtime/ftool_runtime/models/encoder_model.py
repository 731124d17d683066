"""What the models of all tasks have in common whose graph is one encoder."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

from ftool_runtime.bundle.info import describe
from ftool_runtime.bundle.integrity import check_sizes
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.paths import MODEL_FILE, TOKENIZER_FILE
from ftool_runtime.session.encoder_engine import Engine, Outputs
from ftool_runtime.session.onnx_session import SessionSettings


class EncoderModel(ABC):
    """A loaded model; several threads may call it at once.

    `ftool_runtime.load` makes one. It is a context manager; `close` lets go of the graph and its threads.
    """

    per_token: ClassVar[bool] = False  # whether the graph says something of every token
    call_options: ClassVar[tuple[str, ...]] = ()  # of `predict_batches`, that `predict` has flags for

    @property
    def input_fields(self) -> tuple[str, ...]:
        """The names of an input's texts; an input with more than one is a dict of them."""
        return ("text",)

    @classmethod
    def open(cls, folder: Path, manifest: Manifest, settings: SessionSettings) -> Self:
        """Load the bundle in `folder`. Raises as `ftool_runtime.load`."""
        check_sizes(folder, manifest, needed=(MODEL_FILE, TOKENIZER_FILE))
        width = cls.width(manifest)
        return cls(folder, Engine(folder, manifest, settings, width=width, per_token=cls.per_token))

    def __init__(self, folder: Path, engine: Engine) -> None:
        """Wrap the engine of the bundle in `folder`."""
        self._folder = folder
        self._engine = engine

    @classmethod
    @abstractmethod
    def width(cls, manifest: Manifest) -> int:
        """How many numbers the graph gives a row, or a token. Raises BundleError where the manifest doesn't say."""

    @abstractmethod
    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Answer one input, or a list of them."""

    @abstractmethod
    def predict_batches(self, *batches: Any, **options: Any) -> Iterator[list[Any]]:
        """The answers of each of many lists of inputs, as asked for; one has `to_json(given)` and `truncated`."""

    @abstractmethod
    def outputs(self, inputs: Iterable[Any]) -> Outputs:
        """The graph's own output for every row of `inputs`, in order; an input is what the model can be called with.

        Returns:
            float32 (width,) a row, or (tokens, width) where `per_token`.

        Raises as a call does.
        """

    def info(self) -> dict[str, Any]:
        """What was loaded and how it runs: JSON values, for people and logs."""
        return describe(self._folder, self._engine)

    def close(self) -> None:
        """Let go of the graph and its threads. Calls under way finish; later ones raise ClosedError."""
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
