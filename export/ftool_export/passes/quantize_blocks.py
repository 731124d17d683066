"""Quantise constant weights to 8 or 4 bits in blocks: in each output channel, a block of inputs shares one scale.

The passes set the operator's `accuracy_level` to 4. `MatMulNBits` then quantises the activations too, by row and block,
and multiplies integers. A row's result does not depend on the other rows of its batch, and an outlier affects only its
own block. Without this setting, the operator would unpack the weights to fp32, which makes it 27 times slower than an
fp32 product (measured). Every block
costs a floating-point multiplication and addition, so wide blocks are faster and narrow blocks are more exact; figures
are in docs/generation.md.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ftool_export.passes import MICROSOFT
from ftool_export.passes.error_feedback import round_with_feedback
from ftool_export.passes.matching import LAYER, constant, constant_shape, layer_of
from ftool_export.passes.quantize_products import QuantizeProducts
from ftool_export.passes.quantized_weights import (
    SMALLEST_SCALE,
    QuantizedWeight,
    add_quantized,
    gram_of,
    nearly,
    quantize_symmetric,
)

_INTEGER_PRODUCTS: Final = 4  # accuracy_level
BLOCKS: Final = "blocks"  # form of a weight in 8 bits
NIBBLES: Final = "nibbles"  # form of a weight in 4 bits
_LOWEST, _HIGHEST = -8, 7  # levels of 4 bits
_FACTORS: Final = np.linspace(
    0.75, 1.1, 15
)  # of a 4-bit scale that makes the extreme of a block the lowest level
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
    levels, scale = quantize_symmetric(_in_blocks(weight, block_size), axis=2)
    return stored_levels(levels, 8), scale[..., 0]


def quantize_in_nibbles(
    weight: NDArray[Any], block_size: int, gram: NDArray[np.float32] | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Quantise a weight to 4-bit integers, in blocks along the inputs.

    The integers are -8 to 7. A block's number of largest size becomes -8, as in llama.cpp's Q4_0, or a little less or
    more: of several scales, the one with the smallest squared error is taken.

    Args:
        weight: float (inputs, outputs); a last block that is not full is padded with zeros.
        block_size: the number of inputs that share a scale.
        gram: XᵀX of the inputs X of the weight's products, with which rounding errors are fed back; None rounds to the
            nearest integers.

    Returns:
        Two integers to a byte, uint8 (outputs, blocks, block_size / 2), the first in the low half, where 8 represents
        zero; and the scales, float32 (outputs, blocks).
    """
    grouped = _in_blocks(weight, block_size)
    scale = _best_scale(grouped)
    if gram is None:
        levels = np.rint(grouped / scale).clip(_LOWEST, _HIGHEST).astype(np.int8)
    else:
        steps = np.repeat(scale[..., 0].T, block_size, axis=0)[: len(weight)]  # (inputs, outputs)
        levels = _in_blocks(round_with_feedback(weight, steps, _LOWEST, _HIGHEST, gram), block_size)
    return stored_levels(levels, 4), scale[..., 0]


def stored_levels(levels: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    """Return signed integers as `MatMulNBits` stores them: without a sign, two to a byte if they have 4 bits."""
    unsigned: NDArray[np.uint8] = (levels.astype(np.int16) + (1 << (bits - 1))).astype(np.uint8)
    if bits == 4:
        unsigned = (unsigned[..., ::2] | unsigned[..., 1::2] << 4).astype(np.uint8)
    return unsigned


def signed_levels(stored: NDArray[np.uint8], bits: int) -> NDArray[np.int16]:
    """Return the signed integers that `stored_levels` has stored, int16 (outputs, blocks, block_size)."""
    if bits == 4:
        stored = np.stack([stored & 15, stored >> 4], axis=-1).reshape(*stored.shape[:-1], -1)
    return stored.astype(np.int16) - (1 << (bits - 1))


def _in_blocks(weight: NDArray[Any], block_size: int) -> NDArray[Any]:
    """Return `weight`, (inputs, outputs), as (outputs, blocks, block_size), padded with zeros."""
    inputs, outputs = weight.shape
    blocks = -(-inputs // block_size)
    padded = np.zeros((outputs, blocks * block_size), dtype=weight.dtype)
    padded[:, :inputs] = weight.T
    return padded.reshape(outputs, blocks, block_size)


def _best_scale(grouped: NDArray[Any]) -> NDArray[np.float32]:
    """Return the 4-bit scale of each block, float32 (outputs, blocks, 1); it is negative if the extreme is positive."""
    place = np.abs(grouped).argmax(axis=2, keepdims=True)
    extreme = np.take_along_axis(grouped, place, axis=2).astype(np.float64)
    best = np.ones(extreme.shape, dtype=np.float32)
    least = np.full(extreme.shape, np.inf)
    for factor in _FACTORS:
        step = extreme / _LOWEST * factor
        scale = np.where(np.abs(step) >= SMALLEST_SCALE, step, 1.0).astype(np.float32)
        levels = np.rint(grouped / scale).clip(_LOWEST, _HIGHEST)
        error = np.square(levels * scale - grouped).sum(axis=2, keepdims=True, dtype=np.float64)
        best, least = np.where(error < least, scale, best), np.minimum(error, least)
    return best


def quantized_blocks(
    graph: ir.Graph, name: str | None, weight: NDArray[Any], widest: int
) -> tuple[QuantizedWeight, int]:
    """Quantise `weight`, float (inputs, outputs), in 8-bit blocks, and add the result to `graph`.

    Returns the added initializers and the block size, which is at most `widest`.
    """
    block_size = fitting_block(weight.shape[0], widest)
    return add_quantized(graph, name, BLOCKS, *quantize_in_blocks(weight, block_size)), block_size


class QuantizeBlocks(QuantizeProducts):
    """Replace products with constant weights by `MatMulNBits` of 8 bits, which also adds the bias."""

    operator = "MatMulNBits"
    bits: ClassVar[int] = 8

    @property
    def widest(self) -> int:
        """The most inputs that share a scale."""
        return self.settings.block_size

    def quantize_weight(self, graph: ir.Graph, weight: ir.Value) -> QuantizedWeight:
        """Quantise `weight` in blocks along its inputs, add the result to the graph, and return it."""
        array = constant(weight)
        assert array is not None
        return quantized_blocks(graph, weight.name, array, self.widest)[0]

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
        block_size = fitting_block(shape[0], self.widest)
        return [block_product(matmul, (shape[0], shape[1]), block_size, inputs, self.bits)]


class QuantizeNibbles(QuantizeBlocks):
    """Replace products with constant weights by `MatMulNBits` of 4 bits, which also adds the bias."""

    bits = 4

    @property
    def widest(self) -> int:
        """The most inputs that share a scale: at most 32.

        With wider blocks of 4 bits, the operator sums one row in a different order from several rows.
        """
        return min(self.settings.block_size, _NARROWEST)

    def quantize_weight(self, graph: ir.Graph, weight: ir.Value) -> QuantizedWeight:
        """Quantise `weight` in blocks along its inputs, add the result to the graph, and return it."""
        array = constant(weight)
        assert array is not None
        block_size = fitting_block(array.shape[0], self.widest)
        levels, scale = quantize_in_nibbles(array, block_size, gram_of(weight, self.settings))
        known = self.settings.levels.get(f"{weight.name}.{NIBBLES}")
        if known is not None:
            levels = stored_levels(nearly(signed_levels(levels, 4), signed_levels(known, 4)), 4)
        return add_quantized(graph, weight.name, NIBBLES, levels, scale)


def block_product(
    matmul: ir.Node,
    shape: tuple[int, int],
    block_size: int,
    inputs: Sequence[ir.Value | None],
    bits: int = 8,
) -> ir.Node:
    """Return a `MatMulNBits` node with `inputs` that replaces `matmul`; the weight's `shape` is (inputs, outputs)."""
    attributes = {
        "K": shape[0],
        "N": shape[1],
        "bits": bits,
        "block_size": block_size,
        "accuracy_level": _INTEGER_PRODUCTS,
    }
    return ir.node(
        QuantizeBlocks.operator,
        inputs,
        attributes,
        domain=MICROSOFT,
        name=f"{matmul.name}.w{bits}",
        metadata_props={LAYER: layer_of(matmul)},
    )
