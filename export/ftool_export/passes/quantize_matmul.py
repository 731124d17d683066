"""Quantise products with constant weights to int8; activations are quantised during inference (dynamic quantisation).

Weights are signed with 7 bits (-64 to 64), with one scale per output channel. On x86 without VNNI two products of an
unsigned and a signed byte are added in 16 bits: 255 * 64 * 2 still fits, 255 * 127 * 2 saturates. With 7 bits a bundle
gives the same answers on every CPU. Activations have one scale per tensor, so a row's answer depends on the rest of its
batch.
"""

from typing import Any, Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ftool_export.passes import MICROSOFT
from ftool_export.passes.matching import LAYER, constant, layer_of
from ftool_export.passes.quantize_products import QuantizeProducts
from ftool_export.passes.quantized_weights import QuantizedWeight, add_quantized, quantize_symmetric

LARGEST: Final = 64  # 7 bits; the 16-bit sum of two products stays below 2**15


def quantize_channels(weight: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Quantise a weight to symmetric 7-bit integers.

    Args:
        weight: float (inputs, outputs).

    Returns:
        int8 (inputs, outputs) between -64 and 64, and the scale of every output, float32 (outputs,).
    """
    levels, scale = quantize_symmetric(weight, axis=0, largest=LARGEST)
    return levels, scale[0]


def quantized_channels(graph: ir.Graph, weight: ir.Value) -> QuantizedWeight:
    """Add the constant `weight`, quantised by output channel, to `graph`, and return its integers and scales."""
    array = constant(weight)
    assert array is not None
    return add_quantized(graph, weight.name, "int8", *quantize_channels(array))


class QuantizeMatMul(QuantizeProducts):
    """Replace products with `DynamicQuantizeMatMul`, which also adds the bias."""

    operator = "DynamicQuantizeMatMul"

    def quantize_weight(self, graph: ir.Graph, weight: ir.Value) -> QuantizedWeight:
        """Add the weight, quantised by output channel, to the graph."""
        return quantized_channels(graph, weight)

    def product(
        self,
        graph: ir.Graph,  # noqa: ARG002
        matmul: ir.Node,
        weight: QuantizedWeight,
        bias: ir.Value | None,
    ) -> list[ir.Node]:
        """Return the `DynamicQuantizeMatMul` node that replaces `matmul` and the addition of `bias`."""
        inputs = [matmul.inputs[0], weight.levels, weight.scale]
        node = ir.node(
            self.operator,
            inputs if bias is None else [*inputs, None, bias],
            domain=MICROSOFT,
            name=f"{matmul.name}.int8",
            metadata_props={LAYER: layer_of(matmul)},
        )
        return [node]
