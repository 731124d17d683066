"""Quantise the table that an output head and the embedding share (a tied head) in 8-bit blocks, once for both.

The head's product becomes `MatMulNBits`, and the embedding's lookup becomes `GatherBlockQuantized`, which reads the
same bytes. The two operators need scales in different shapes, so a Reshape adapts the scales when the model is loaded.
"""

from typing import Any, Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ftool_export.passes import MICROSOFT, PassSettings, use_microsoft_operators
from ftool_export.passes.matching import LAYER, clean, constant, initializer, layer_of, lookups, replace
from ftool_export.passes.quantize_blocks import block_product, quantized_blocks
from ftool_export.passes.quantized_weights import QuantizedWeight
from ftool_export.passes.tie_head import tied_products

LOOKUP: Final = "GatherBlockQuantized"


class ShareTable(ir.passes.InPlacePass):
    """Quantise tables, of at least `PassSettings.smallest` elements, that an output head and an embedding share.

    Tables whose head is in `PassSettings.left_out` are not quantised.
    """

    def __init__(self, settings: PassSettings) -> None:
        super().__init__()
        self.settings = settings

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite `model` in place; the result says whether anything was modified."""
        modified = False
        for product in tied_products(model):
            table = product.inputs[1]
            array = constant(table)
            assert table is not None
            assert array is not None
            if array.size < self.settings.smallest or layer_of(product) in self.settings.left_out:
                continue
            _share(model.graph, product, table, array, self.settings.block_size)
            modified = True
        if modified:
            use_microsoft_operators(model)
            clean(model)
        return ir.passes.PassResult(model, modified)


def _share(graph: ir.Graph, product: ir.Node, table: ir.Value, array: NDArray[Any], widest: int) -> None:
    rows, width = array.shape
    shared, block_size = quantized_blocks(graph, table.name, array.T, widest)
    quantized = block_product(product, (width, rows), block_size, [product.inputs[0], *shared])
    # GatherBlockQuantized would return the padding of a partly filled last block, so the embedding keeps its own table.
    readers = lookups(table) if width % block_size == 0 else []
    replace(graph, [product], [quantized])
    for gather in readers:
        replace(graph, [gather], _lookup(graph, gather, shared, width, block_size))


def _lookup(
    graph: ir.Graph, gather: ir.Node, table: QuantizedWeight, width: int, block_size: int
) -> list[ir.Node]:
    """Return nodes that look up rows, (..., blocks, block_size), and join each row's blocks to (..., width)."""
    notes, name = {LAYER: layer_of(gather)}, gather.name
    indices = gather.inputs[1]
    rank = 2 if indices is None or indices.shape is None else len(indices.shape)
    scale_shape = initializer(graph, f"{name}.scale_shape", np.array([0, 0, 1]))
    row_shape = initializer(graph, f"{name}.row_shape", np.array([0] * rank + [width]))
    scale = ir.node("Reshape", [table.scale, scale_shape], name=f"{name}.scale", metadata_props=dict(notes))
    rows = ir.node(
        LOOKUP,
        [table.levels, indices, scale.outputs[0]],
        {"gather_axis": 0, "quantize_axis": 2, "block_size": block_size, "bits": 8},
        domain=MICROSOFT,
        name=f"{name}.blocks",
        metadata_props=dict(notes),
    )
    joined = ir.node("Reshape", [rows.outputs[0], row_shape], name=f"{name}.w8", metadata_props=dict(notes))
    return [scale, rows, joined]
