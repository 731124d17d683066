"""Quantise embedding tables to 8 bits per number, with one scale per row.

The tables are two thirds of a small model's file. With a scale per row, the short vectors of rare words are as exact as
those of frequent words; with one scale per table they would be lost.
"""

from typing import Any, Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ftool_export.passes import PassSettings
from ftool_export.passes.matching import (
    LAYER,
    clean,
    constant,
    constant_shape,
    initializer,
    layer_of,
    replace,
)
from ftool_export.passes.scales import symmetric_scale

_LARGEST: Final = 127


def quantize_rows(table: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Quantise a table to symmetric 8-bit integers, row by row.

    Args:
        table: float (rows, width).

    Returns:
        int8 (rows, width) and the scale of every row, float32 (rows, 1).
    """
    largest = np.abs(table).max(axis=1, keepdims=True)
    scale = symmetric_scale(largest, _LARGEST)
    return np.rint(table / scale).clip(-_LARGEST, _LARGEST).astype(np.int8), scale


class QuantizeEmbeddings(ir.passes.InPlacePass):
    """Quantise tables of at least `smallest_table` elements that only Gather reads, except in layers left out."""

    def __init__(self, settings: PassSettings) -> None:
        super().__init__()
        self.settings = settings

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite `model` in place; the result says whether anything was modified."""
        modified = False
        for value in list(model.graph.initializers.values()):
            readers = [use.node for use in value.uses()]
            if not _is_table(value, readers, self.settings):
                continue
            array = constant(value)
            assert array is not None
            rows, scale = quantize_rows(array)
            table = initializer(model.graph, f"{value.name}.int8", rows)
            scales = initializer(model.graph, f"{value.name}.scale", scale)
            for gather in readers:
                replace(model.graph, [gather], _lookup(gather, table, scales))
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
    return bool(readers) and all(_reads_rows(node, value, settings) for node in readers)


def _reads_rows(node: ir.Node, table: ir.Value, settings: PassSettings) -> bool:
    return (
        node.op_type == "Gather"
        and node.inputs[0] is table
        and node.attributes.get_int("axis", 0) == 0
        and layer_of(node) not in settings.left_out
    )


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
