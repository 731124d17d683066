"""Measure what the matrix products of a graph read on real inputs, before weights and activations are quantised."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ftool_export.checkpoints.base import LoadedModel
from ftool_export.checkpoints.encoder import LoadedEncoder, all_rows
from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_export.examples.base import spread
from ftool_export.graph.generator_samples import answered, run_sample
from ftool_export.graph.generator_session import GraphRunner, Rows
from ftool_export.graph.session import Sessions, open_sessions, run_graph
from ftool_export.passes.matching import constant_matmuls

T = TypeVar("T")

_ROWS: Final = 256  # rows to run; more hardly change the statistics
_GENERATED: Final = 32  # inputs that a generator answers
_TOKENS: Final = 16_384  # of all rows together, about


@dataclass(frozen=True, slots=True)
class InputStatistics:
    """Statistics of the inputs of all products that share a weight.

    Attributes:
        lowest: the lowest value in each input channel, float32 (inputs,).
        highest: the highest value in each input channel, float32 (inputs,).
        gram: the sum of x xᵀ over all tokens' inputs x, float32 (inputs, inputs).
    """

    lowest: NDArray[np.float32]
    highest: NDArray[np.float32]
    gram: NDArray[np.float32]

    def __add__(self, other: "InputStatistics") -> "InputStatistics":
        lowest, highest = np.minimum(self.lowest, other.lowest), np.maximum(self.highest, other.highest)
        return InputStatistics(lowest, highest, self.gram + other.gram)

    def divided(self, factors: NDArray[np.float32]) -> "InputStatistics":
        """Return the statistics of the inputs divided by `factors`, float32 (inputs,)."""
        gram = self.gram / factors / factors[:, None]
        return InputStatistics(self.lowest / factors, self.highest / factors, gram)

    @property
    def peaks(self) -> NDArray[np.float32]:
        """The largest absolute value in each input channel, float32 (inputs,)."""
        peaks: NDArray[np.float32] = np.maximum(np.abs(self.lowest), np.abs(self.highest))
        return peaks


def input_statistics(
    models: Mapping[str, ir.Model], loaded: LoadedModel, inputs: Sequence[Any], smallest: int
) -> dict[str, InputStatistics]:
    """Return statistics of the inputs of matrix products with a constant weight, by the weight's name.

    Args:
        models: the fp32 graphs by name; they are not changed.
        loaded: the checkpoint. A generator also reads the answers that it gives by greedy decoding.
        inputs: inputs of the task, at least one. At most 256 of them, or 32 of a generator's, evenly spaced, are used,
            fewer if they are long.
        smallest: matrix products whose weight has fewer elements are skipped.
    """
    watched = {name: _Watched(model, smallest) for name, model in models.items()}
    sessions = open_sessions({name: one.model for name, one in watched.items()})
    if isinstance(loaded, LoadedGenerator):
        _run_generator(sessions, loaded, inputs, watched)
    else:
        assert isinstance(loaded, LoadedEncoder)
        for row in _within(spread(all_rows(loaded, inputs), _ROWS), lambda row: len(row.ids)):
            encoded = loaded.batch([row])
            feeds = {key: value.numpy() for key, value in encoded.items()}
            watched["model"].add(run_graph(sessions["model"], feeds))
    return {name: found for one in watched.values() for name, found in one.found.items()}


def _run_generator(
    sessions: Sessions, loaded: LoadedGenerator, rows: Rows, watched: Mapping[str, "_Watched"]
) -> None:
    """Run the generator on up to 32 inputs with its answers, one at a time, and add what its products read."""
    runner = GraphRunner(sessions, lambda name, outputs: watched[name].add(outputs))
    for sample in answered(loaded, _within(spread(rows, _GENERATED), len)):
        run_sample(runner, sample)


class _Watched:
    """A copy of a graph whose outputs include what its products read, and the statistics of these outputs so far."""

    def __init__(self, model: ir.Model, smallest: int) -> None:
        self.model = model.clone()
        self.found: dict[str, InputStatistics] = {}
        self._weights: dict[str, list[str]] = {}  # by the name of a products' input
        for node in constant_matmuls(self.model, smallest):
            value, weight = node.inputs[0], node.inputs[1]
            assert value is not None
            assert weight is not None
            self._weights.setdefault(str(value.name), []).append(str(weight.name))
            value.dtype = value.dtype or ir.DataType.FLOAT
            if not value.is_graph_output():
                self.model.graph.outputs.append(value)

    def add(self, outputs: Mapping[str, NDArray[Any]]) -> None:
        """Add the inputs of the products in `outputs`, float32 (..., inputs)."""
        for name, weights in self._weights.items():
            rows = outputs[name].reshape(-1, outputs[name].shape[-1])
            new = InputStatistics(rows.min(axis=0), rows.max(axis=0), rows.T @ rows)
            for weight in weights:
                self.found[weight] = self.found[weight] + new if weight in self.found else new


def _within(rows: Sequence[T], length: Callable[[T], int]) -> Sequence[T]:
    """Return rows at even distances that have at most about `_TOKENS` tokens together, at least one row."""
    tokens = sum(map(length, rows))
    return rows if tokens <= _TOKENS else spread(rows, max(1, len(rows) * _TOKENS // tokens))
