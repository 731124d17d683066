"""Cross-attention caches: keys and values of the sources, which the encoder computes once for all rows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.bundle.manifest import Precision
from ftool_runtime.errors import BundleError
from ftool_runtime.session.batching import length_groups
from ftool_runtime.session.onnx_session import OnnxSession, SessionSettings

# Processors add up this many float32 numbers at once (AVX-512; AVX2 half as many), and the rest one by one, in another
# order. If lengths are padded to multiples of this number, a source's attention is bit for bit independent of the other
# sources' lengths.
_LANES: Final = 16


class Sources:
    """The keys and values of sources, with one row for each answer.

    Attributes:
        values: float32 arrays (rows, heads, source_length, head_dim) by the name of the decoder's input.
        mask: int64 (rows, source_length), 1 for a token and 0 for padding.
        origin: int64 (rows,), the index of the source that each row answers.
    """

    def __init__(self, values: Mapping[str, NDArray[np.float32]], mask: NDArray[np.int64]) -> None:
        """Hold the encoder's outputs, with one row for each source, in order."""
        self.values = values
        self.mask = mask
        self.origin = np.arange(len(mask))

    def select(self, rows: NDArray[np.intp]) -> bool:
        """Replace row i with a copy of row rows[i]. Return whether the keys, values or mask changed."""
        origin = self.origin[rows]
        moved = not np.array_equal(origin, self.origin)
        if moved:
            self.values = {name: np.ascontiguousarray(value[rows]) for name, value in self.values.items()}
            self.mask = np.ascontiguousarray(self.mask[rows])
            self.origin = origin
        return moved


class SourceEncoder:
    """Runs the encoder's graph on sources. Thread-safe."""

    def __init__(
        self,
        path: Path,
        precision: Precision,
        settings: SessionSettings,
        wanted: Sequence[str],
    ) -> None:
        """Load the graph at `path`; `wanted` names the outputs that the decoder takes.

        Raises BundleError if the graph lacks one of these outputs, and the errors of OnnxSession.
        """
        self._session = OnnxSession(path, settings, precision.devices)
        missing = sorted(set(wanted) - set(self._session.output_names))
        if missing or "input_ids" not in self._session.input_names:
            raise BundleError(
                f"{path} lacks outputs that its decoder takes: {missing}; export the bundle again"
            )
        self._session.check_types(path, self._session.input_names, wanted)
        self._wanted = tuple(wanted)

    def encode(self, rows: Sequence[Sequence[int]]) -> Sources:
        """Run the encoder on rows of token ids; rows of different lengths run one after another."""
        groups = length_groups([len(row) for row in rows])
        return _concatenated([self._encode(rows[group]) for group in groups])

    def _encode(self, rows: Sequence[Sequence[int]]) -> Sources:
        """Run rows of the same length together."""
        ids = np.array(rows, np.int64)
        mask = np.ones_like(ids)
        feeds = {"input_ids": ids, "attention_mask": mask}
        feeds = {name: feeds[name] for name in self._session.input_names}
        values = self._session.run_all(self._wanted, feeds)
        return Sources(dict(zip(self._wanted, values, strict=True)), mask)


def _concatenated(parts: Sequence[Sources]) -> Sources:
    """Return the rows of all parts together, padded to a multiple of `_LANES` with zeros, which the mask excludes."""
    length = -(-max(part.mask.shape[1] for part in parts) // _LANES) * _LANES
    names = parts[0].values
    values = {name: _padded_and_stacked([part.values[name] for part in parts], 2, length) for name in names}
    return Sources(values, _padded_and_stacked([part.mask for part in parts], 1, length))


def _padded_and_stacked(arrays: Sequence[NDArray[Any]], axis: int, length: int) -> NDArray[Any]:
    """Return arrays concatenated along axis 0, after padding each with zeros to `length` along `axis`."""
    rows, others = sum(len(array) for array in arrays), list(arrays[0].shape[1:])
    others[axis - 1] = length
    stacked = np.zeros((rows, *others), arrays[0].dtype)
    start = 0
    for array in arrays:
        inside = (slice(start, start + len(array)), *(slice(size) for size in array.shape[1:]))
        stacked[inside] = array
        start += len(array)
    return stacked
