"""Dynamic int8: products with constant weights in 8-bit integers, activations quantised as they come.

Weights are signed with 7 bits (-64 to 64), one scale an output channel. On x86 without VNNI two products of an
unsigned and a signed byte are added in 16 bits, and 255 * 64 * 2 still fits there where 255 * 127 * 2 saturates: so
a bundle answers alike on every CPU. Activations have one scale a tensor, which is what makes rows depend on company.
"""

from typing import Any, Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ftool_export.passes import MICROSOFT, PassResult, PassSettings, use_microsoft_operators
from ftool_export.passes.matching import (
    LAYER,
    clean,
    constant,
    constant_matmuls,
    following_bias,
    initializer,
    layer_of,
    replace,
)
from ftool_export.passes.scales import symmetric_scale

OPERATOR: Final = "DynamicQuantizeMatMul"
LARGEST: Final = 64  # 7 bits; the 16-bit sum of two products stays below 2**15


def quantize_channels(weight: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Symmetric 7-bit weights.

    Args:
        weight: float (inputs, outputs).

    Returns:
        int8 (inputs, outputs) between -64 and 64, and the scale of every output, float32 (outputs,).
    """
    largest = np.abs(weight).max(axis=0)
    scale = symmetric_scale(largest, LARGEST)
    return np.rint(weight / scale).clip(-LARGEST, LARGEST).astype(np.int8), scale


def apply(model: ir.Model, settings: PassSettings) -> PassResult:
    """Quantise every product with a constant weight of size, but those of layers left out."""
    shared: dict[ir.Value, tuple[ir.Value, ir.Value]] = {}
    changed = 0
    for node in constant_matmuls(model, settings.smallest):
        if layer_of(node) in settings.left_out:
            continue
        _quantize(model.graph, node, shared)
        changed += 1
    if changed:
        use_microsoft_operators(model)
        clean(model)
    return PassResult(model, changed)


def _quantize(graph: ir.Graph, matmul: ir.Node, shared: dict[ir.Value, tuple[ir.Value, ir.Value]]) -> None:
    weight, scale = _quantized_weight(graph, matmul, shared)
    biased = following_bias(matmul)
    inputs = [matmul.inputs[0], weight, scale, None, biased[1] if biased else None]
    quantized = ir.node(
        OPERATOR,
        inputs if biased else inputs[:3],
        domain=MICROSOFT,
        name=f"{matmul.name}.int8",
        metadata_props={LAYER: layer_of(matmul)},
    )
    replace(graph, [matmul, biased[0]] if biased else [matmul], [quantized])


def _quantized_weight(
    graph: ir.Graph, matmul: ir.Node, shared: dict[ir.Value, tuple[ir.Value, ir.Value]]
) -> tuple[ir.Value, ir.Value]:
    original = matmul.inputs[1]
    assert original is not None
    if original not in shared:
        array = constant(original)
        assert array is not None
        weight, scale = quantize_channels(array)
        shared[original] = (
            initializer(graph, f"{original.name}.int8", weight),
            initializer(graph, f"{original.name}.scale", scale),
        )
    return shared[original]
