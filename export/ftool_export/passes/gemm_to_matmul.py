"""Rewrite Gemm with a constant weight as MatMul and Add, so that later passes handle only one form of a linear layer.

The exporter turns a linear layer into Gemm only if the layer's input is (batch, width). GPT-2's Conv1D becomes Gemm for
inputs of any shape.
"""

from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

from ftool_export.passes.matching import LAYER, clean, constant, initializer, layer_of, replace


class GemmToMatMul(ir.passes.InPlacePass):
    """Rewrite every Gemm with a constant weight, and with factors alpha and beta of 1, as MatMul and Add."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite `model` in place; the result says whether anything was modified."""
        modified = False
        for node in list(model.graph):
            weight = constant(node.inputs[1]) if node.op_type == "Gemm" and _is_plain(node) else None
            if weight is None:
                continue
            replace(model.graph, [node], _matmul_and_add(model.graph, node, weight))
            modified = True
        if modified:
            clean(model)
        return ir.passes.PassResult(model, modified)


def _is_plain(node: ir.Node) -> bool:
    attributes = node.attributes
    return (
        attributes.get_float("alpha", 1.0) == 1.0
        and attributes.get_float("beta", 1.0) == 1.0
        and not attributes.get_int("transA", 0)
    )


def _matmul_and_add(graph: ir.Graph, gemm: ir.Node, weight: NDArray[Any]) -> list[ir.Node]:
    right = gemm.inputs[1]
    if gemm.attributes.get_int("transB", 0):
        right = initializer(graph, f"{layer_of(gemm)}.weight.transposed", weight.T)
    notes = {LAYER: layer_of(gemm)}
    matmul = ir.node("MatMul", [gemm.inputs[0], right], name=f"{layer_of(gemm)}/MatMul", metadata_props=notes)
    product = matmul.outputs[0]
    product.name, product.dtype, product.shape = (
        f"{gemm.outputs[0].name}_product",
        ir.DataType.FLOAT,
        gemm.outputs[0].shape,
    )
    if len(gemm.inputs) < 3 or gemm.inputs[2] is None:
        return [matmul]
    add = ir.node("Add", [product, gemm.inputs[2]], name=f"{layer_of(gemm)}/Add", metadata_props=dict(notes))
    return [matmul, add]
