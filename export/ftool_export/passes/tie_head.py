"""Let an output head that is tied to the embedding multiply by the embedding's table without a transposed copy.

The exporter transposes the table for the head's product. Folding this Transpose into a constant would store the model's
largest tensor twice. `FusedMatMul` with `transB` multiplies by the transposed table without a copy.
"""

from typing import Final

import numpy as np
import onnx_ir as ir

from ftool_export.passes import MICROSOFT, use_microsoft_operators
from ftool_export.passes.matching import LAYER, clean, constant, constant_shape, layer_of, lookups, replace

OPERATOR: Final = "FusedMatMul"


class TieHead(ir.passes.InPlacePass):
    """Rewrite each product with a transposed embedding table as a `FusedMatMul` with the table itself."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite `model` in place; the result says whether anything was modified."""
        modified = False
        for node in list(model.graph):
            is_product = node.op_type == "MatMul" and node.domain == ""
            table = _looked_up_table(node, model.graph) if is_product else None
            if table is None:
                continue
            product = ir.node(
                OPERATOR,
                [node.inputs[0], table],
                {"transB": 1},
                domain=MICROSOFT,
                name=f"{node.name}.tied",
                metadata_props={LAYER: layer_of(node)},
            )
            replace(model.graph, [node], [product])
            modified = True
        if modified:
            use_microsoft_operators(model)
            clean(model)
        return ir.passes.PassResult(model, modified)


def tied_products(model: ir.Model) -> list[ir.Node]:
    """Return the `FusedMatMul` nodes that TieHead has made and no later pass has replaced, in graph order."""
    return [
        node
        for node in model.graph
        if node.op_type == OPERATOR
        and node.domain == MICROSOFT
        and len(constant_shape(node.inputs[1]) or ()) == 2
    ]


def _looked_up_table(matmul: ir.Node, graph: ir.Graph) -> ir.Value | None:
    """If `matmul` multiplies by the transpose of an embedding table, return this table, otherwise None."""
    right = matmul.inputs[1]
    transpose = right.producer() if right is not None else None
    if transpose is not None and transpose.op_type == "Transpose":
        table = transpose.inputs[0]
        is_table = table is not None and len(constant_shape(table) or ()) == 2 and lookups(table)
        return table if is_table else None
    weight = constant(right)  # the exporter folds the Transpose of a small table itself
    if weight is None or weight.ndim != 2:
        return None
    for value in graph.initializers.values():
        if constant_shape(value) == weight.shape[::-1] and lookups(value):
            other = constant(value)
            if other is not None and np.array_equal(other.T, weight):
                return value
    return None
