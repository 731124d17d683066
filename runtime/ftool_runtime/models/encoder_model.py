"""`EncoderModel`: models whose graph is one encoder; `WindowedModel`: those that read long texts in windows."""

import itertools
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.bundle.integrity import check_files
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.paths import MODEL_FILE, TOKENIZER_FILE
from ftool_runtime.errors import BundleError
from ftool_runtime.models.base import In, Model, Out, listed
from ftool_runtime.session.encoder_engine import EncoderEngine, Outputs
from ftool_runtime.session.onnx_session import SessionSettings
from ftool_runtime.text.encode import Tokens
from ftool_runtime.text.windows import Window

WindowOutputs = Sequence[NDArray[np.float32]]  # for each window of one input, in order: (tokens, width)


class EncoderModel(Model[In, Out]):
    """A loaded model whose graph is one encoder."""

    per_token: ClassVar[bool] = False  # whether the graph has outputs for each token, not for each row

    def __init__(self, folder: Path, engine: EncoderEngine) -> None:
        """Wrap the engine of the bundle in `folder`. Raises BundleError if its manifest or tokenizer can't be used."""
        super().__init__(folder, engine)
        self._engine = engine

    @classmethod
    def open(cls, folder: Path, manifest: Manifest, settings: SessionSettings) -> Self:
        """Load the bundle in `folder`, given its manifest. Raises as `ftool_runtime.load`."""
        check_files(folder, manifest, needed=(MODEL_FILE, TOKENIZER_FILE))
        width = cls.width(manifest)
        return cls(folder, EncoderEngine(folder, manifest, settings, width=width, per_token=cls.per_token))

    @classmethod
    @abstractmethod
    def width(cls, manifest: Manifest, /) -> int:
        """The graph's outputs for each row, or each token. Raises BundleError if the manifest lacks the information."""

    def outputs(self, inputs: Iterable[In]) -> Outputs:
        """The graph's outputs for every row of `inputs`, in order. Raises as a call.

        Returns:
            float32 (rows, width); if `per_token`, a list of float32 (tokens, width).
        """
        options = self._settle()
        encoded = [self._encode(given, row, options) for row, given in enumerate(listed(inputs))]
        return self._engine.outputs([row for one in encoded for row in self._rows(one)])

    def answers(self, inputs: Iterable[In], outputs: Outputs, **options: Any) -> list[Out]:
        """Convert outputs, as from `outputs` for all rows of `inputs`, to the answers of a call with `options`.

        The graph does not run. Raises as a call.
        """
        settled = self._settle(**options)
        given = listed(inputs)
        encoded = [self._encode(one, row, settled) for row, one in enumerate(given)]
        return self._decode_all(given, encoded, self._by_input(encoded, outputs), settled)

    def _run(self, encoded: Sequence[Any], first_row: int, _: Any) -> Iterable[Any]:
        outputs = self._engine.outputs([row for one in encoded for row in self._rows(one)])
        found = self._by_input(encoded, outputs)
        _check_finite(outputs, found, first_row)
        return found

    def _by_input(self, encoded: Sequence[Any], outputs: Outputs) -> Iterable[Any]:
        """The outputs for each input: here an input is one row, so float32 (width,) each."""
        assert len(encoded) == len(outputs)
        return outputs


class WindowedModel(EncoderModel[In, Out]):
    """A loaded model that reads a text of any length, as one or more windows, each with outputs for its tokens."""

    per_token: ClassVar[bool] = True

    def _rows(self, encoded: list[Window]) -> list[Tokens]:
        return [window.tokens for window in encoded]

    def _by_input(self, encoded: Sequence[list[Window]], outputs: Outputs) -> list[WindowOutputs]:
        """The outputs for each input's windows."""
        counts = [len(windows) for windows in encoded]
        ends = itertools.accumulate(counts)
        return [list(outputs[end - count : end]) for end, count in zip(ends, counts, strict=True)]


def _check_finite(outputs: Outputs, found: Iterable[Any], first_row: int) -> None:
    """Raise BundleError, naming the input, for an output that is not a finite number."""
    if isinstance(outputs, np.ndarray) and np.isfinite(outputs).all():
        return
    for row, values in enumerate(found, first_row):
        if not all(np.isfinite(value).all() for value in values):
            raise BundleError(
                f"the model's output for text {row} is not a finite number; run `ftool parity` on its checkpoint"
            )
