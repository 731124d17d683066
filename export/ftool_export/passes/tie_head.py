"""Let a head that shares its table with the embedding read that table as it lies.

The exporter transposes the table for the head's product. Folded, that would be a second copy of a model's largest
tensor. `FusedMatMul` multiplies by the transposed right side itself.
"""

import numpy as np
import onnx_ir as ir

from ftool_export.passes import MICROSOFT, PassResult, PassSettings, use_microsoft_operators
from ftool_export.passes.matching import LAYER, clean, constant, constant_shape, layer_of, replace

OPERATOR = "FusedMatMul"


def apply(model: ir.Model, settings: PassSettings) -> PassResult:  # noqa: ARG001
    """Rewrite every product with the transpose of a constant that is looked up elsewhere."""
    changed = 0
    for node in list(model.graph):
        table = (
            _looked_up_table(node, model.graph) if node.op_type == "MatMul" and node.domain == "" else None
        )
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
        changed += 1
    if changed:
        use_microsoft_operators(model)
        clean(model)
    return PassResult(model, changed)


def tied_products(model: ir.Model) -> list[ir.Node]:
    """The products that this pass made and that still stand, in graph order."""
    return [
        node
        for node in model.graph
        if node.op_type == OPERATOR
        and node.domain == MICROSOFT
        and len(constant_shape(node.inputs[1]) or ()) == 2
    ]


def lookups(table: ir.Value) -> list[ir.Node]:
    """The nodes that look rows of `table` up."""
    nodes = [use.node for use in table.uses()]
    return [
        node
        for node in nodes
        if node.op_type == "Gather" and node.inputs[0] is table and node.attributes.get_int("axis", 0) == 0
    ]


def _looked_up_table(matmul: ir.Node, graph: ir.Graph) -> ir.Value | None:
    """The table that `matmul` multiplies by the transpose of; None where nothing looks rows of it up."""
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
