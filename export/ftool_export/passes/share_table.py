"""One table in 8-bit blocks for the tokens that go in and for those that come out.

A tied head's product becomes `MatMulNBits`; the embedding's lookup reads the same bytes by `GatherBlockQuantized`,
block for block. The two want their scales in different shapes; the smaller tensor is reshaped as the model loads.
"""

from typing import Final

import numpy as np
import onnx_ir as ir

from ftool_export.passes import MICROSOFT, PassResult, PassSettings, use_microsoft_operators
from ftool_export.passes.matching import LAYER, clean, constant, initializer, layer_of, replace
from ftool_export.passes.quantize_blocks import INTEGER_PRODUCTS, fitting_block, quantize_in_blocks
from ftool_export.passes.quantize_blocks import OPERATOR as PRODUCT
from ftool_export.passes.tie_head import lookups, tied_products

LOOKUP: Final = "GatherBlockQuantized"


def apply(model: ir.Model, settings: PassSettings) -> PassResult:
    """Quantise every tied head of size with its embedding, but those of layers left out."""
    changed = 0
    for product in tied_products(model):
        table = product.inputs[1]
        array = constant(table)
        assert table is not None
        assert array is not None
        if array.size < settings.smallest or layer_of(product) in settings.left_out:
            continue
        _share(model.graph, product, table, array, settings.block_size)
        changed += 1
    if changed:
        use_microsoft_operators(model)
        clean(model)
    return PassResult(model, changed)


def _share(graph: ir.Graph, product: ir.Node, table: ir.Value, array: np.ndarray, widest: int) -> None:
    rows, width = array.shape
    block_size = fitting_block(width, widest)
    blocks, scale = quantize_in_blocks(array.T, block_size)  # (rows, blocks, block_size), (rows, blocks)
    weight = initializer(graph, f"{table.name}.blocks", blocks)
    scales = initializer(graph, f"{table.name}.scale", scale)
    quantized = ir.node(
        PRODUCT,
        [product.inputs[0], weight, scales],
        {
            "K": width,
            "N": rows,
            "bits": 8,
            "block_size": block_size,
            "accuracy_level": INTEGER_PRODUCTS,
        },
        domain=MICROSOFT,
        name=f"{product.name}.w8",
        metadata_props={LAYER: layer_of(product)},
    )
    readers = (
        lookups(table) if width % block_size == 0 else []
    )  # the last block's filling is no part of a row
    replace(graph, [product], [quantized])
    for gather in readers:
        replace(graph, [gather], _lookup(graph, gather, weight, scales, width, block_size))


def _lookup(
    graph: ir.Graph, gather: ir.Node, weight: ir.Value, scales: ir.Value, width: int, block_size: int
) -> list[ir.Node]:
    """Gather blocks of rows and lay them side by side: (..., blocks, block_size) -> (..., width)."""
    notes, name = {LAYER: layer_of(gather)}, gather.name
    indices = gather.inputs[1]
    rank = 2 if indices is None or indices.shape is None else len(indices.shape)
    scale_shape = initializer(graph, f"{name}.scale_shape", np.array([0, 0, 1]))
    row_shape = initializer(graph, f"{name}.row_shape", np.array([0] * rank + [width]))
    scale = ir.node("Reshape", [scales, scale_shape], name=f"{name}.scale", metadata_props=dict(notes))
    rows = ir.node(
        LOOKUP,
        [weight, indices, scale.outputs[0]],
        {"gather_axis": 0, "quantize_axis": 2, "block_size": block_size, "bits": 8},
        domain=MICROSOFT,
        name=f"{name}.blocks",
        metadata_props=dict(notes),
    )
    joined = ir.node("Reshape", [rows.outputs[0], row_shape], name=f"{name}.w8", metadata_props=dict(notes))
    return [scale, rows, joined]
