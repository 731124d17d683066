"""8-bit blocks: weights with one scale for every few inputs of an output, activations with scales a row.

`MatMulNBits` quantises activations row by row and block by block, so an answer does not depend on what shares its
batch, and an outlier spoils its own block alone. `accuracy_level` 4 lets it multiply integers; without that it
unpacks the weights to fp32 first, 27 times slower than fp32 itself (measured). Every block ends in a floating-point
multiplication and addition, so wide blocks are faster, and narrow ones more exact: docs/generation.md has figures.
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
    constant_shape,
    following_bias,
    initializer,
    layer_of,
    replace,
)
from ftool_export.passes.scales import symmetric_scale

OPERATOR: Final = "MatMulNBits"
INTEGER_PRODUCTS: Final = 4  # accuracy_level
_ZERO_POINT: Final = 128  # what the operator assumes where it is given none
_LARGEST: Final = 127
_NARROWEST: Final = 32  # below it a block's own scale costs more than the filling of the last one


def fitting_block(inputs: int, widest: int) -> int:
    """The widest block, up to `widest`, a power of two, that divides `inputs`; but never less than 32 for that.

    Where not even 32 divides them, blocks are 32 wide (or `widest`, if that is less), and the last is filled up.
    """
    block = widest
    while block > _NARROWEST and inputs % block:
        block //= 2
    return block


def quantize_in_blocks(
    weight: NDArray[Any], block_size: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Symmetric 8-bit weights in blocks along the inputs.

    Args:
        weight: float (inputs, outputs); the last block is filled up with zeros.
        block_size: inputs that share a scale.

    Returns:
        uint8 (outputs, blocks, block_size), 128 standing for zero, and float32 scales (outputs, blocks).
    """
    inputs, outputs = weight.shape
    blocks = -(-inputs // block_size)
    padded = np.zeros((outputs, blocks * block_size), dtype=np.float32)
    padded[:, :inputs] = weight.T
    grouped = padded.reshape(outputs, blocks, block_size)
    largest = np.abs(grouped).max(axis=-1)
    scale = symmetric_scale(largest, _LARGEST)
    levels = np.rint(grouped / scale[..., None]).clip(-_LARGEST, _LARGEST)
    return (levels + _ZERO_POINT).astype(np.uint8), scale


def apply(model: ir.Model, settings: PassSettings) -> PassResult:
    """Quantise every product with a constant weight of size, but those of layers left out."""
    shared: dict[ir.Value, tuple[ir.Value, ir.Value]] = {}
    changed = 0
    for node in constant_matmuls(model, settings.smallest):
        if layer_of(node) in settings.left_out:
            continue
        _quantize(model.graph, node, settings.block_size, shared)
        changed += 1
    if changed:
        use_microsoft_operators(model)
        clean(model)
    return PassResult(model, changed)


def _quantize(
    graph: ir.Graph, matmul: ir.Node, widest: int, shared: dict[ir.Value, tuple[ir.Value, ir.Value]]
) -> None:
    shape = constant_shape(matmul.inputs[1])
    assert shape is not None
    block_size = fitting_block(shape[0], widest)
    weight, scale = _quantized_weight(graph, matmul, block_size, shared)
    biased = following_bias(matmul)
    inputs = [matmul.inputs[0], weight, scale, None, None, biased[1] if biased else None]
    quantized = ir.node(
        OPERATOR,
        inputs if biased else inputs[:3],
        {
            "K": shape[0],
            "N": shape[1],
            "bits": 8,
            "block_size": block_size,
            "accuracy_level": INTEGER_PRODUCTS,
        },
        domain=MICROSOFT,
        name=f"{matmul.name}.w8",
        metadata_props={LAYER: layer_of(matmul)},
    )
    replace(graph, [matmul, biased[0]] if biased else [matmul], [quantized])


def _quantized_weight(
    graph: ir.Graph, matmul: ir.Node, block_size: int, shared: dict[ir.Value, tuple[ir.Value, ir.Value]]
) -> tuple[ir.Value, ir.Value]:
    original = matmul.inputs[1]
    assert original is not None
    if original not in shared:
        array = constant(original)
        assert array is not None
        weight, scale = quantize_in_blocks(array, block_size)
        shared[original] = (
            initializer(graph, f"{original.name}.blocks", weight),
            initializer(graph, f"{original.name}.scale", scale),
        )
    return shared[original]
