"""`EncoderModel`: models whose graph is one encoder, which gives numbers for each row or each token."""

import itertools
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.bundle.integrity import check_sizes
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.paths import MODEL_FILE, TOKENIZER_FILE
from ftool_runtime.errors import BundleError
from ftool_runtime.models.base import In, Model, Out, listed
from ftool_runtime.session.encoder_engine import EncoderEngine, Outputs
from ftool_runtime.session.onnx_session import SessionSettings

Rows = Sequence[NDArray[np.float32]]  # the graph's numbers for the rows of one input, in order


class EncoderModel(Model[In, Out]):
    """A loaded model whose graph is one encoder."""

    per_token: ClassVar[bool] = (
        False  # whether the graph gives numbers for every token, not one set for a row
    )

    def __init__(self, folder: Path, engine: EncoderEngine) -> None:
        """Wrap the engine of the bundle in `folder`. Raises BundleError if its manifest or tokenizer can't be used."""
        super().__init__(folder, engine)
        self._engine = engine

    @classmethod
    def open(cls, folder: Path, manifest: Manifest, settings: SessionSettings) -> Self:
        """Load the bundle in `folder`, whose manifest has been read. Raises as `ftool_runtime.load`."""
        check_sizes(folder, manifest, needed=(MODEL_FILE, TOKENIZER_FILE))
        width = cls.width(manifest)
        return cls(folder, EncoderEngine(folder, manifest, settings, width=width, per_token=cls.per_token))

    @classmethod
    @abstractmethod
    def width(cls, manifest: Manifest, /) -> int:
        """How many numbers the graph gives a row, or a token. Raises BundleError if the manifest doesn't say."""

    def outputs(self, inputs: Iterable[In]) -> Outputs:
        """The graph's own numbers for every row of `inputs`, in order. Raises as a call.

        Returns:
            float32 (rows, width); if `per_token`, a list of float32 (tokens, width).
        """
        options = self._settle()
        encoded = [self._encode(given, row, options) for row, given in enumerate(listed(inputs))]
        return self._engine.outputs([row for one in encoded for row in self._rows(one)])

    def _run(self, encoded: Sequence[Any], first_row: int, _: Any) -> list[Rows]:
        rows = [self._rows(one) for one in encoded]
        outputs = self._engine.outputs([row for several in rows for row in several])
        ends = list(itertools.accumulate(map(len, rows)))
        found: list[Rows] = [
            list(outputs[end - len(several) : end]) for end, several in zip(ends, rows, strict=True)
        ]
        _check_finite(outputs, found, first_row)
        return found


def _check_finite(outputs: Outputs, found: Sequence[Rows], first_row: int) -> None:
    """Raise BundleError, naming the input, for an output that is not a finite number."""
    if isinstance(outputs, np.ndarray) and np.isfinite(outputs).all():
        return
    for row, several in enumerate(found, first_row):
        if not all(np.isfinite(values).all() for values in several):
            raise BundleError(
                f"the model's output for text {row} is not a finite number; run `ftool parity` on its checkpoint"
            )
