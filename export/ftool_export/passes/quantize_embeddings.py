"""Quantise embedding tables to 8 bits with one scale per row, or to 4 bits with one scale per block of a row.

Embedding tables are two thirds of a small model's file. Rare words have short vectors. With a scale per row, short
vectors are as exact as the vectors of frequent words; with one scale per table, short vectors would be lost. In 4 bits,
blocks of 32 numbers have a scale each, which is chosen for the smallest squared error, as for weights in 4 bits:
docs/shrinking.md has the error and size of other widths.
"""

from typing import Any, Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ftool_export.errors import ExportError
from ftool_export.passes import MICROSOFT, PassSettings, use_microsoft_operators
from ftool_export.passes.matching import (
    LAYER,
    clean,
    constant,
    constant_shape,
    layer_of,
    lookups,
    replace,
)
from ftool_export.passes.quantize_blocks import quantize_in_nibbles
from ftool_export.passes.quantize_matmul import INT8
from ftool_export.passes.quantized_weights import QuantizedWeight, add_quantized, quantize_symmetric
from ftool_export.passes.share_table import LOOKUP

ROWS: Final = "nibble_rows"  # form of a table in 4 bits
BLOCK: Final = 32  # numbers of a row that share a scale in 4 bits
_ROWS_AT_ONCE: Final = 8_192  # quantising a large table at once would take several times its memory


class QuantizeEmbeddings(ir.passes.InPlacePass):
    """Quantise tables that only Gather nodes read, and that have at least `PassSettings.smallest_table` elements.

    Tables of layers in `PassSettings.left_out` are not quantised.
    """

    def __init__(self, settings: PassSettings) -> None:
        super().__init__()
        self.settings = settings

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite `model` in place; the result says whether anything was modified.

        Raises ExportError if a table of odd width was to get 4 bits.
        """
        tables = quantizable_tables(model, self.settings)
        four_bits = self.settings.embedding_bits == 4
        for value in tables:
            array = constant(value)
            assert array is not None
            form, quantized = (ROWS, _in_nibbles) if four_bits else (INT8, _in_bytes)
            table = add_quantized(model.graph, value.name, form, *quantized(value.name, array))
            for gather in lookups(value):
                looked_up = _nibble_lookup(gather, table) if four_bits else _lookup(gather, table)
                replace(model.graph, [gather], looked_up)
        if tables:
            clean(model)
            if four_bits:
                use_microsoft_operators(model)
        return ir.passes.PassResult(model, bool(tables))


def quantizable_tables(model: ir.Model, settings: PassSettings) -> list[ir.Value]:
    """Return the embedding tables that `QuantizeEmbeddings` would quantise with `settings`."""
    return [
        value for value in model.graph.initializers.values() if _is_table(value, lookups(value), settings)
    ]


def saved_bytes(table: ir.Value) -> int:
    """Return how many bytes less a constant table, (rows, width), takes in 4 bits than in 8, scales included."""
    rows, width = constant_shape(table) or (0, 0)
    return rows * ((width + 4) - (width // 2 + 4 * -(-width // BLOCK)))


def _is_table(value: ir.Value, readers: list[ir.Node], settings: PassSettings) -> bool:
    shape = constant_shape(value)
    if shape is None or len(shape) != 2 or shape[0] * shape[1] < settings.smallest_table:
        return False
    if value.dtype != ir.DataType.FLOAT or value.is_graph_output():
        return False
    if not readers or len(readers) < len(list(value.uses())):
        return False
    return all(layer_of(node) not in settings.left_out for node in readers)


def _in_bytes(_: str | None, array: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return a table, float (rows, width), as int8 of the same shape, and its scales, float32 (rows, 1)."""
    return quantize_symmetric(array, axis=1)


def _in_nibbles(name: str | None, array: NDArray[Any]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return a table, float (rows, width), in 4 bits: uint8 (rows, width / 2), and its scales, float32 (rows, blocks).

    Of two numbers in a byte, the first is in the low half, and 8 represents zero. Raises ExportError for an odd width.
    """
    rows, width = array.shape
    if width % 2:
        raise ExportError(f"{name} has an odd width of {width}, so it can't be stored in 4 bits; use 8 bits")
    parts = [
        quantize_in_nibbles(array[first : first + _ROWS_AT_ONCE].T, BLOCK)
        for first in range(0, rows, _ROWS_AT_ONCE)
    ]
    levels = np.concatenate([part.reshape(len(part), -1)[:, : width // 2] for part, _ in parts])
    return levels, np.concatenate([scale for _, scale in parts])


def _lookup(gather: ir.Node, table: QuantizedWeight) -> list[ir.Node]:
    def node(
        operator: str, inputs: list[ir.Value | None], attributes: dict[str, Any], suffix: str
    ) -> ir.Node:
        notes = {LAYER: layer_of(gather)}
        return ir.node(operator, inputs, attributes, name=f"{gather.name}.{suffix}", metadata_props=notes)

    row = node("Gather", [table.levels, gather.inputs[1]], {"axis": 0}, "row")
    scale = node("Gather", [table.scale, gather.inputs[1]], {"axis": 0}, "scale")
    number = node("Cast", [row.outputs[0]], {"to": ir.DataType.FLOAT}, "cast")
    return [row, scale, number, node("Mul", [number.outputs[0], scale.outputs[0]], {}, INT8)]


def _nibble_lookup(gather: ir.Node, table: QuantizedWeight) -> list[ir.Node]:
    attributes = {"gather_axis": 0, "quantize_axis": 1, "block_size": BLOCK, "bits": 4}
    return [
        ir.node(
            LOOKUP,
            [table.levels, gather.inputs[1], table.scale],
            attributes,
            domain=MICROSOFT,
            name=f"{gather.name}.{ROWS}",
            metadata_props={LAYER: layer_of(gather)},
        )
    ]
