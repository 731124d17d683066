"""Quantise embedding tables to 8 bits per number, with one scale per row.

Embedding tables are two thirds of a small model's file. Rare words have short vectors. With a scale per row, short
vectors are as exact as the vectors of frequent words; with one scale per table, short vectors would be lost.
"""

from typing import Any

import onnx_ir as ir

from ftool_export.passes import PassSettings
from ftool_export.passes.matching import (
    LAYER,
    clean,
    constant,
    constant_shape,
    layer_of,
    lookups,
    replace,
)
from ftool_export.passes.quantized_weights import add_quantized, quantize_symmetric


class QuantizeEmbeddings(ir.passes.InPlacePass):
    """Quantise tables that only Gather nodes read, and that have at least `PassSettings.smallest_table` elements.

    Tables of layers in `PassSettings.left_out` are not quantised.
    """

    def __init__(self, settings: PassSettings) -> None:
        super().__init__()
        self.settings = settings

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite `model` in place; the result says whether anything was modified."""
        modified = False
        for value in list(model.graph.initializers.values()):
            readers = lookups(value)
            if not _is_table(value, readers, self.settings):
                continue
            array = constant(value)
            assert array is not None
            table = add_quantized(model.graph, value.name, "int8", *quantize_symmetric(array, axis=1))
            for gather in readers:
                replace(model.graph, [gather], _lookup(gather, table.levels, table.scale))
            modified = True
        if modified:
            clean(model)
        return ir.passes.PassResult(model, modified)


def _is_table(value: ir.Value, readers: list[ir.Node], settings: PassSettings) -> bool:
    shape = constant_shape(value)
    if shape is None or len(shape) != 2 or shape[0] * shape[1] < settings.smallest_table:
        return False
    if value.dtype != ir.DataType.FLOAT or value.is_graph_output():
        return False
    if not readers or len(readers) < len(list(value.uses())):
        return False
    return all(layer_of(node) not in settings.left_out for node in readers)


def _lookup(gather: ir.Node, table: ir.Value, scales: ir.Value) -> list[ir.Node]:
    def node(
        operator: str, inputs: list[ir.Value | None], attributes: dict[str, Any], suffix: str
    ) -> ir.Node:
        notes = {LAYER: layer_of(gather)}
        return ir.node(operator, inputs, attributes, name=f"{gather.name}.{suffix}", metadata_props=notes)

    row = node("Gather", [table, gather.inputs[1]], {"axis": 0}, "row")
    scale = node("Gather", [scales, gather.inputs[1]], {"axis": 0}, "scale")
    number = node("Cast", [row.outputs[0]], {"to": ir.DataType.FLOAT}, "cast")
    return [row, scale, number, node("Mul", [number.outputs[0], scale.outputs[0]], {}, "int8")]
