"""Quantise a constant symmetrically to 8 bits, and add its integers and scales to a graph as initializers."""

from typing import Any, Final, NamedTuple

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ftool_export.passes.matching import initializer

# Smaller scales are denormal: they have fewer bits, and a division by one may overflow.
_SMALLEST: Final = float(np.finfo(np.float32).tiny)


class QuantizedWeight(NamedTuple):
    """The initializers that replace a weight: the integers (`levels`) and their scales (`scale`)."""

    levels: ir.Value
    scale: ir.Value


def quantize_symmetric(
    array: NDArray[Any], axis: int, largest: int = 127
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Quantise an array with one scale for all elements along `axis`.

    Args:
        array: float, of any shape.
        axis: the axis whose elements share a scale.
        largest: the integer that represents the largest absolute value.

    Returns:
        The integers, int8 from -largest to largest in the array's shape, and the scales, float32 with size 1 on
        `axis`. A scale is the size of one integer step. If all numbers that share a scale are 0, the scale is 1.
    """
    step = np.asarray(np.abs(array).max(axis=axis, keepdims=True), dtype=np.float64) / largest
    scale = np.where(step >= _SMALLEST, step, 1.0).astype(np.float32)
    return np.rint(array / scale).clip(-largest, largest).astype(np.int8), scale


def add_quantized(
    graph: ir.Graph, name: str | None, form: str, levels: NDArray[Any], scale: NDArray[np.float32]
) -> QuantizedWeight:
    """Add a quantised weight to `graph`: `levels` as `name.form` ("int8" or "blocks"), and `scale` as `name.scale`."""
    return QuantizedWeight(
        initializer(graph, f"{name}.{form}", levels), initializer(graph, f"{name}.scale", scale)
    )
