"""Quantise a constant symmetrically to 8 bits, and add its integers and scales to a graph as initializers."""

from typing import Any, Final, NamedTuple

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ftool_export.passes import PassSettings
from ftool_export.passes.matching import initializer
from ftool_export.passes.smooth_activations import SMOOTHED

# Smaller scales are denormal: they have fewer bits, and a division by one may overflow.
SMALLEST_SCALE: Final = float(np.finfo(np.float32).tiny)


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
    scale = np.where(step >= SMALLEST_SCALE, step, 1.0).astype(np.float32)
    return np.rint(array / scale).clip(-largest, largest).astype(np.int8), scale


def gram_of(weight: ir.Value, settings: PassSettings) -> NDArray[np.float32] | None:
    """Return XᵀX of the inputs X of a weight's products, also if the weight was smoothed; None if it is not known."""
    name = weight.name or ""
    original = name.removesuffix(SMOOTHED)
    gram = settings.grams.get(original)
    if gram is None or original == name:
        return gram
    reciprocal = settings.smoothing[original]
    return gram * reciprocal * reciprocal[:, None]


def nearly(levels: NDArray[Any], known: NDArray[Any] | None) -> NDArray[Any]:
    """Return the `known` levels where they are neighbours of `levels`, and elsewhere the nearest neighbour.

    Returns `levels` if no levels are known, or if the known ones have another shape.
    """
    if known is None or known.shape != levels.shape:
        return levels
    nearest = levels.astype(np.int16)
    taken: NDArray[Any] = np.clip(known, nearest - 1, nearest + 1).astype(levels.dtype)
    return taken


def add_quantized(
    graph: ir.Graph, name: str | None, form: str, levels: NDArray[Any], scale: NDArray[np.float32]
) -> QuantizedWeight:
    """Add a quantised weight to `graph`: `levels` as `name.form`, such as "x.int8", and `scale` as `name.scale`."""
    return QuantizedWeight(
        initializer(graph, f"{name}.{form}", levels), initializer(graph, f"{name}.scale", scale)
    )
