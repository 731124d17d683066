"""Quantise constant weights to 8 bits in blocks: in each output channel, a block of inputs shares one scale.

The pass sets the operator's `accuracy_level` to 4. `MatMulNBits` then quantises the activations too, by row and block,
and multiplies integers. A row's result does not depend on the other rows of its batch, and an outlier affects only its
own block. Without this setting, the operator would unpack the weights to fp32, which makes it 27 times slower than an
fp32 product (measured). Every block
costs a floating-point multiplication and addition, so wide blocks are faster and narrow blocks are more exact; figures
are in docs/generation.md.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ftool_export.passes import MICROSOFT
from ftool_export.passes.matching import LAYER, constant, constant_shape, layer_of
from ftool_export.passes.quantize_products import QuantizeProducts
from ftool_export.passes.quantized_weights import QuantizedWeight, add_quantized, quantize_symmetric

_INTEGER_PRODUCTS: Final = 4  # accuracy_level
_ZERO_POINT: Final = 128  # the operator's default
_NARROWEST: Final = 32  # inputs; narrower blocks need more bytes for scales than they save in padding


def fitting_block(inputs: int, widest: int) -> int:
    """Return the widest block size, a power of two from 32 to `widest`, that divides `inputs`.

    If no such size divides `inputs`, the block size is 32 (or `widest`, if that is less), and the last block is padded.
    """
    block = widest
    while block > _NARROWEST and inputs % block:
        block //= 2
    return block


def quantize_in_blocks(
    weight: NDArray[Any], block_size: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Quantise a weight to symmetric 8-bit integers, in blocks along the inputs.

    Args:
        weight: float (inputs, outputs); a last block that is not full is padded with zeros.
        block_size: the number of inputs that share a scale.

    Returns:
        The integers, uint8 (outputs, blocks, block_size), of which 128 represents zero, and the scales, float32
        (outputs, blocks).
    """
    inputs, outputs = weight.shape
    blocks = -(-inputs // block_size)
    padded = np.zeros((outputs, blocks * block_size), dtype=np.float32)
    padded[:, :inputs] = weight.T
    grouped = padded.reshape(outputs, blocks, block_size)
    levels, scale = quantize_symmetric(grouped, axis=2)
    return (levels.astype(np.int16) + _ZERO_POINT).astype(np.uint8), scale[..., 0]


def quantized_blocks(
    graph: ir.Graph, name: str | None, weight: NDArray[Any], widest: int
) -> tuple[QuantizedWeight, int]:
    """Quantise `weight`, float (inputs, outputs), in blocks, and add the result to `graph`.

    Returns the added initializers and the block size, which is at most `widest`.
    """
    block_size = fitting_block(weight.shape[0], widest)
    return add_quantized(graph, name, "blocks", *quantize_in_blocks(weight, block_size)), block_size


class QuantizeBlocks(QuantizeProducts):
    """Replace products with constant weights by `MatMulNBits`, which also adds the bias."""

    operator = "MatMulNBits"

    def quantize_weight(self, graph: ir.Graph, weight: ir.Value) -> QuantizedWeight:
        """Quantise `weight` in blocks along its inputs, add the result to the graph, and return it."""
        array = constant(weight)
        assert array is not None
        return quantized_blocks(graph, weight.name, array, self.settings.block_size)[0]

    def product(
        self,
        graph: ir.Graph,  # noqa: ARG002
        matmul: ir.Node,
        weight: QuantizedWeight,
        bias: ir.Value | None,
    ) -> list[ir.Node]:
        """Return the `MatMulNBits` node that replaces `matmul` and the addition of `bias`."""
        shape = constant_shape(matmul.inputs[1])
        assert shape is not None
        inputs = [matmul.inputs[0], weight.levels, weight.scale]
        inputs = inputs if bias is None else [*inputs, None, None, bias]
        return [
            block_product(
                matmul, (shape[0], shape[1]), fitting_block(shape[0], self.settings.block_size), inputs
            )
        ]


def block_product(
    matmul: ir.Node, shape: tuple[int, int], block_size: int, inputs: Sequence[ir.Value | None]
) -> ir.Node:
    """Return a `MatMulNBits` node with `inputs` that replaces `matmul`; the weight's `shape` is (inputs, outputs)."""
    attributes = {
        "K": shape[0],
        "N": shape[1],
        "bits": 8,
        "block_size": block_size,
        "accuracy_level": _INTEGER_PRODUCTS,
    }
    return ir.node(
        QuantizeBlocks.operator,
        inputs,
        attributes,
        domain=MICROSOFT,
        name=f"{matmul.name}.w8",
        metadata_props={LAYER: layer_of(matmul)},
    )
