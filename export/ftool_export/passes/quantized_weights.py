"""Symmetric 8-bit quantisation of a constant: its integers and scales, and the initializers that replace it."""

from typing import Any, Final, NamedTuple

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ftool_export.passes.matching import initializer

# Smaller scales are denormal: they have fewer bits, and a division by one may overflow.
_SMALLEST: Final = float(np.finfo(np.float32).tiny)


class QuantizedWeight(NamedTuple):
    """The initializers that replace a weight: its integers and their scales."""

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
        Integers from -largest to largest in the array's shape, and scales, float32, of size 1 on `axis`: the value of
        one integer step, or 1 if all values are 0.
    """
    step = np.asarray(np.abs(array).max(axis=axis, keepdims=True), dtype=np.float64) / largest
    scale = np.where(step >= _SMALLEST, step, 1.0).astype(np.float32)
    return np.rint(array / scale).clip(-largest, largest).astype(np.int8), scale


def add_quantized(
    graph: ir.Graph, name: str | None, form: str, levels: NDArray[Any], scale: NDArray[np.float32]
) -> QuantizedWeight:
    """Add the quantised form of the weight `name` to `graph`, as `name.form` ("int8" or "blocks") and `name.scale`."""
    return QuantizedWeight(
        initializer(graph, f"{name}.{form}", levels), initializer(graph, f"{name}.scale", scale)
    )
