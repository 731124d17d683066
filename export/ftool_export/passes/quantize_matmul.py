"""Quantise products with constant weights to int8; activations are quantised during inference (dynamic quantisation).

Weights become signed integers of 7 bits (-64 to 64), with one scale per output channel. x86 CPUs without VNNI add two
products of an unsigned and a signed byte in 16 bits: 255 * 64 * 2 fits, but 255 * 127 * 2 saturates. With 7 bits,
therefore, a bundle gives the same answers on every CPU. Activations have one scale per tensor, so a row's result
depends on the other rows of its batch.
"""

from typing import Any, Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ftool_export.passes import MICROSOFT, PassSettings
from ftool_export.passes.error_feedback import round_with_feedback
from ftool_export.passes.matching import LAYER, constant, layer_of
from ftool_export.passes.quantize_products import QuantizeProducts
from ftool_export.passes.quantized_weights import (
    QuantizedWeight,
    add_quantized,
    gram_of,
    nearly,
    quantize_symmetric,
)

INT8: Final = "int8"  # form of a weight
LARGEST: Final = 64  # 7 bits; the 16-bit sum of two products stays below 2**15


def quantize_channels(
    weight: NDArray[Any], gram: NDArray[np.float32] | None = None
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Quantise a weight to symmetric 7-bit integers, with one scale per output channel.

    Args:
        weight: float (inputs, outputs).
        gram: XᵀX of the inputs X of the weight's products, with which rounding errors are fed back; None rounds to the
            nearest integers.

    Returns:
        The integers, int8 (inputs, outputs) from -64 to 64, and each output channel's scale, float32 (outputs,).
    """
    levels, scale = quantize_symmetric(weight, axis=0, largest=LARGEST)
    if gram is not None:
        levels = round_with_feedback(weight, scale, -LARGEST, LARGEST, gram)
    return levels, scale[0]


def quantized_channels(graph: ir.Graph, weight: ir.Value, settings: PassSettings) -> QuantizedWeight:
    """Quantise the constant `weight` by output channel, add the result to `graph`, and return it."""
    array = constant(weight)
    assert array is not None
    levels, scale = quantize_channels(array, gram_of(weight, settings))
    levels = nearly(levels, settings.levels.get(f"{weight.name}.{INT8}"))
    return add_quantized(graph, weight.name, INT8, levels, scale)


class QuantizeMatMul(QuantizeProducts):
    """Replace products with constant weights by `DynamicQuantizeMatMul`, which also adds the bias."""

    operator = "DynamicQuantizeMatMul"

    def quantize_weight(self, graph: ir.Graph, weight: ir.Value) -> QuantizedWeight:
        """Quantise `weight` by output channel, add the result to the graph, and return it."""
        return quantized_channels(graph, weight, self.settings)

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
