"""The sizes of the activations that are to be quantised, measured on real inputs."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ftool_export.checkpoints.encoder import LoadedEncoder
from ftool_export.examples.sampling import spread
from ftool_export.graph.session import GraphSession
from ftool_export.passes.matching import constant_matmuls
from ftool_runtime.text.encode import Tokens

_ROWS: Final = 128  # peaks of channels settle long before


def activation_peaks(
    model: ir.Model, loaded: LoadedEncoder, rows: Sequence[Tokens], smallest: int
) -> dict[str, NDArray[np.float32]]:
    """Largest absolute value of each input channel of every product with a constant weight of size.

    Args:
        model: the fp32 graph; it is left as it was.
        loaded: the graph's reference.
        rows: at least one; up to 128 of them, evenly spread, are run singly.
        smallest: products with fewer elements in their weight are passed over.

    Returns:
        float32 (inputs,) by the weight's name; over all products that share a weight.
    """
    watched = model.clone()
    inputs = {node.inputs[0]: node.inputs[1] for node in constant_matmuls(watched, smallest)}
    for value in inputs:
        assert value is not None
        value.dtype = value.dtype or ir.DataType.FLOAT
        if not value.is_graph_output():
            watched.graph.outputs.append(value)
    weights = {value.name: weight.name for value, weight in inputs.items() if value and weight}
    session = GraphSession(watched)
    peaks: dict[str, NDArray[np.float32]] = {}
    for row in spread(rows, _ROWS):
        encoded = loaded.batch([row])
        for name, array in session.values({key: value.numpy() for key, value in encoded.items()}).items():
            weight = weights.get(name)
            if weight is not None:
                channels = np.abs(array).reshape(-1, array.shape[-1]).max(axis=0)
                peaks[weight] = np.maximum(peaks.get(weight, channels), channels)
    return peaks
