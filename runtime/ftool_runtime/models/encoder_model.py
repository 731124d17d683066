"""`EncoderModel`: models whose graph is one encoder, with outputs for each row or each token."""

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

Rows = Sequence[NDArray[np.float32]]  # the graph's outputs for the rows of one input, in order


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
        return [
            self._decode(one, tokens, rows, settled)
            for one, tokens, rows in zip(given, encoded, self._by_input(encoded, outputs), strict=True)
        ]

    def _run(self, encoded: Sequence[Any], first_row: int, _: Any) -> list[Rows]:
        rows = [self._rows(one) for one in encoded]
        outputs = self._engine.outputs([row for several in rows for row in several])
        found = self._by_input(encoded, outputs)
        _check_finite(outputs, found, first_row)
        return found

    def _by_input(self, encoded: Sequence[Any], outputs: Outputs) -> list[Rows]:
        counts = [len(self._rows(one)) for one in encoded]
        ends = itertools.accumulate(counts)
        return [list(outputs[end - count : end]) for end, count in zip(ends, counts, strict=True)]


def _check_finite(outputs: Outputs, found: Sequence[Rows], first_row: int) -> None:
    """Raise BundleError, naming the input, for an output that is not a finite number."""
    if isinstance(outputs, np.ndarray) and np.isfinite(outputs).all():
        return
    for row, several in enumerate(found, first_row):
        if not all(np.isfinite(values).all() for values in several):
            raise BundleError(
                f"the model's output for text {row} is not a finite number; run `ftool parity` on its checkpoint"
            )
