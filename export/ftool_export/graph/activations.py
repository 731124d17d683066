"""Measure the largest activations of a graph on real inputs, before the activations are quantised."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ftool_export.checkpoints.encoder import LoadedEncoder
from ftool_export.examples.base import spread
from ftool_export.graph.session import open_session, run_graph
from ftool_export.passes.matching import constant_matmuls
from ftool_runtime.text.encode import Tokens

_ROWS: Final = 128  # rows to run; more hardly change the channels' peaks


def activation_peaks(
    model: ir.Model, loaded: LoadedEncoder, rows: Sequence[Tokens], smallest: int
) -> dict[str, NDArray[np.float32]]:
    """Return the largest absolute value in each input channel of the matrix products with a constant weight.

    Args:
        model: the fp32 graph; it is not changed.
        loaded: the checkpoint, which turns rows into inputs of the graph.
        rows: tokenised inputs, at least one. At most 128 of them, evenly spaced, are used; each is run on its own.
        smallest: matrix products whose weight has fewer elements are skipped.

    Returns:
        A dict from the name of each weight to a float32 array (inputs,): the maximum over all products that share the
        weight.
    """
    watched = model.clone()
    inputs = {node.inputs[0]: node.inputs[1] for node in constant_matmuls(watched, smallest)}
    for value in inputs:
        assert value is not None
        value.dtype = value.dtype or ir.DataType.FLOAT
        if not value.is_graph_output():
            watched.graph.outputs.append(value)
    weights = {value.name: weight.name for value, weight in inputs.items() if value and weight}
    session = open_session(watched)
    peaks: dict[str, NDArray[np.float32]] = {}
    for row in spread(rows, _ROWS):
        encoded = loaded.batch([row])
        values = run_graph(session, {key: value.numpy() for key, value in encoded.items()})
        for name, array in values.items():
            weight = weights.get(name)
            if weight is not None:
                channels = np.abs(array).reshape(-1, array.shape[-1]).max(axis=0)
                peaks[weight] = np.maximum(peaks.get(weight, channels), channels)
    return peaks
