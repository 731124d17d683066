"""`EncoderModel`: models whose graph is one encoder; `WindowedModel`: encoder models that read texts in windows."""

import itertools
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.bundle.integrity import check_files
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.paths import MODEL_FILE, TOKENIZER_FILE
from ftool_runtime.errors import BundleError
from ftool_runtime.models.base import In, Model, Out
from ftool_runtime.session.background import Background
from ftool_runtime.session.encoder_engine import EncoderEngine, Outputs
from ftool_runtime.session.onnx_session import SessionSettings, import_onnxruntime
from ftool_runtime.text.encode import Tokens, check_padding, read_tokenizer
from ftool_runtime.text.windows import Window

if TYPE_CHECKING:
    from tokenizers import Tokenizer

WindowOutputs = Sequence[
    NDArray[np.float32]
]  # the outputs for each window of an input, in order, (tokens, width)


class EncoderModel(Model[In, Out]):
    """Base class of loaded models whose graph is one encoder."""

    per_token: ClassVar[bool] = False  # whether the graph has outputs for each token rather than for each row

    def __init__(self, folder: Path, engine: EncoderEngine, tokenizer: "Tokenizer") -> None:
        """Make a model from `engine`, which runs the bundle in `folder`, and the bundle's tokenizer.

        Subclasses raise BundleError if the bundle's manifest or tokenizer can't be used.
        """
        super().__init__(folder, engine)
        check_padding(tokenizer, engine.manifest.input)
        self._engine = engine
        self._tokenizer = tokenizer

    @classmethod
    def open(cls, folder: Path, manifest: Manifest, settings: SessionSettings) -> Self:
        """Load the bundle in `folder`, given its manifest. Raises the errors of `ftool_runtime.load`."""
        check_files(folder, manifest, needed=(MODEL_FILE, TOKENIZER_FILE))
        width = cls.width(manifest)
        import_onnxruntime()
        # onnxruntime loads a graph without holding Python's lock, so the tokenizer is read meanwhile.
        tokenizer = Background(lambda: read_tokenizer(folder / TOKENIZER_FILE))
        engine = EncoderEngine(
            folder, manifest, settings, width=width, per_token=cls.per_token, also=cls.also(manifest)
        )
        return cls(folder, engine, tokenizer.result())

    @classmethod
    @abstractmethod
    def width(cls, manifest: Manifest, /) -> int:
        """Return the number of the graph's outputs for each row, or for each token.

        Raises BundleError if the manifest lacks this information.
        """

    @classmethod
    def also(cls, _: Manifest, /) -> tuple[str, ...]:
        """Return the names of outputs that the graph gives besides the manifest's; `width` counts their numbers too."""
        return ()

    def outputs(self, inputs: Iterable[In]) -> Outputs:
        """Return the graph's outputs for every row of `inputs`, in order. Raises the errors of a call.

        Returns:
            float32 (rows, width), or, if `per_token`, a list of float32 arrays (tokens, width).
        """
        settled = self._settle()
        return self._finished(self._graph_outputs(self._encode_all(self._listed(inputs), settled)), settled)

    def graph_outputs(self, inputs: Iterable[In]) -> Outputs:
        """Return what the graph itself gives for every row of `inputs`, in order. Raises the errors of a call.

        In a classifier that can be taught these are the logits of the bundle's labels, and then the features.
        """
        return self._graph_outputs(self._encode_all(self._listed(inputs), self._settle()))

    def token_outputs(self, rows: Sequence[Tokens]) -> Outputs:
        """Return the graph's outputs for rows of tokens, as `outputs` does; token types are dropped if it takes none.

        Raises the errors of a call.
        """
        if "token_type_ids" not in self._engine.manifest.input.names:
            rows = [row._replace(type_ids=None) for row in rows]
        return self._finished(self._engine.outputs(rows), self._settle())

    def answers(self, inputs: Iterable[In], outputs: Outputs, **options: Any) -> list[Out]:
        """Return the answers of a call with `options`, made from the graph's `outputs` for all rows of `inputs`.

        The graph does not run. Raises the errors of a call.
        """
        settled = self._settle(**options)
        given = self._listed(inputs)
        encoded = self._encode_all(given, settled)
        return self._decode_all(given, encoded, self._by_input(encoded, outputs), settled)

    def _run(self, encoded: Sequence[Any], first_row: int, options: Any) -> Iterable[Any]:
        return self._by_input(encoded, self._finished(self._graph_outputs(encoded, first_row), options))

    def _finished(self, outputs: Outputs, _: Any, /) -> Outputs:
        """Return the outputs of a call with these options, from the graph's."""
        return outputs

    def _graph_outputs(self, encoded: Sequence[Any], first_row: int = 0) -> Outputs:
        """Return the graph's outputs for every row of encoded inputs. Raises BundleError if one is not finite."""
        outputs = self._engine.outputs([row for one in encoded for row in self._rows(one)])
        _check_finite(outputs, self._by_input(encoded, outputs), first_row)
        return outputs

    def _by_input(self, encoded: Sequence[Any], outputs: Outputs) -> Iterable[Any]:
        """Return the outputs for each input, float32 (width,), since each input is one row."""
        assert len(encoded) == len(outputs)
        return outputs


class WindowedModel(EncoderModel[In, Out]):
    """Base class of loaded models that read a text of any length, in windows with outputs for each token."""

    per_token: ClassVar[bool] = True

    def _rows(self, encoded: list[Window]) -> list[Tokens]:
        return [window.tokens for window in encoded]

    def _by_input(self, encoded: Sequence[list[Window]], outputs: Outputs) -> list[WindowOutputs]:
        """Return, for each input, the outputs for its windows."""
        counts = [len(windows) for windows in encoded]
        ends = itertools.accumulate(counts)
        return [list(outputs[end - count : end]) for end, count in zip(ends, counts, strict=True)]


def _check_finite(outputs: Outputs, found: Iterable[Any], first_row: int) -> None:
    """Raise BundleError, which names the input, if an output is not a finite number.

    `found` holds the outputs for each input; `first_row` is the position of the first input.
    """
    if isinstance(outputs, np.ndarray) and np.isfinite(outputs).all():
        return
    for row, values in enumerate(found, first_row):
        if not all(np.isfinite(value).all() for value in values):
            raise BundleError(
                f"the model's output for text {row} is not a finite number; run `ftool parity` on its checkpoint"
            )
