"""Quantise products to int8 with one activation scale per row, which is fast for many tokens.

ONNX Runtime's own dynamic quantisation to int8 has one scale for a whole activation tensor. Here the graph divides each
row x by its largest absolute value m before integers are multiplied, and multiplies the result by m afterwards:

    x W = m (x / m) W,   m = max |x| of the row

The operator `MatMulIntegerToFloat` computes the product (x / m) W. Its sums are integers, so a row's result has the
same bits whether the row runs singly or in a batch. Weights are quantised as in `quantize_matmul`, with 7 bits and one
scale per output channel, so that sums fit into 16 bits on a CPU without VNNI.
"""

from typing import Final

import numpy as np
import onnx_ir as ir

from ftool_export.passes import MICROSOFT, PassSettings
from ftool_export.passes.matching import LAYER, initializer, layer_of
from ftool_export.passes.quantize_matmul import quantized_channels
from ftool_export.passes.quantize_products import QuantizeProducts
from ftool_export.passes.quantized_weights import QuantizedWeight

_LEVELS: Final = 127
_ZERO_POINT: Final = 128
_SMALLEST: Final = 1e-30  # the smallest divisor, used for a row of zeros


class QuantizeRows(QuantizeProducts):
    """Replace products with constant weights by `MatMulIntegerToFloat` on rows divided by their largest absolute value.

    An input that several products read is quantised only once.
    """

    operator = "MatMulIntegerToFloat"

    def __init__(self, settings: PassSettings) -> None:
        super().__init__(settings)
        self._rows: dict[ir.Value, tuple[ir.Value, ir.Value]] = {}  # by input: integers, divisor of each row

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite `model` in place; the result says whether anything was modified."""
        self._rows = {}
        return super().call(model)

    def quantize_weight(self, graph: ir.Graph, weight: ir.Value) -> QuantizedWeight:
        """Quantise `weight` by output channel, add the result to the graph, and return it."""
        return quantized_channels(graph, weight, self.settings)

    def product(
        self, graph: ir.Graph, matmul: ir.Node, weight: QuantizedWeight, bias: ir.Value | None
    ) -> list[ir.Node]:
        """Return the nodes that quantise the input (if no other product has), multiply, scale back and add `bias`."""
        source = matmul.inputs[0]
        assert source is not None
        notes = {LAYER: layer_of(matmul)}
        new = [] if source in self._rows else self._divide(graph, source, matmul)
        integers, divisor = self._rows[source]
        product = ir.node(
            self.operator,
            [integers, weight.levels, _level(graph), weight.scale, _zero_point(graph)],
            domain=MICROSOFT,
            name=f"{matmul.name}.int8",
            metadata_props=dict(notes),
        )
        scaled = ir.node(
            "Mul", [product.outputs[0], divisor], name=f"{matmul.name}.scaled", metadata_props=dict(notes)
        )
        new += [product, scaled]
        if bias is not None:
            add = ir.node("Add", [scaled.outputs[0], bias], metadata_props=dict(notes))
            add.name = f"{matmul.name}.biased"
            new.append(add)
        return new

    def _divide(self, graph: ir.Graph, source: ir.Value, reader: ir.Node) -> list[ir.Node]:
        """Return nodes that divide and quantise each row of `source`; record the integers and divisors in `_rows`."""

        def node(operator: str, inputs: list[ir.Value], **attributes: int) -> ir.Node:
            name = f"{reader.name}.row.{operator}"
            return ir.node(operator, inputs, attributes, name=name, metadata_props={LAYER: layer_of(reader)})

        size = node("Abs", [source])
        last_axis = _constant(graph, "last_axis", np.array([-1]))
        largest = node("ReduceMax", [size.outputs[0], last_axis], keepdims=1)
        smallest = _constant(graph, "smallest", np.float32(_SMALLEST))
        divisor = node("Max", [largest.outputs[0], smallest])
        share = node("Div", [source, divisor.outputs[0]])
        integers = node("QuantizeLinear", [share.outputs[0], _level(graph), _zero_point(graph)])
        self._rows[source] = integers.outputs[0], divisor.outputs[0]
        return [size, largest, divisor, share, integers]


def _level(graph: ir.Graph) -> ir.Value:
    return _constant(graph, "level", np.float32(1 / _LEVELS))


def _zero_point(graph: ir.Graph) -> ir.Value:
    return _constant(graph, "zero", np.uint8(_ZERO_POINT))


def _constant(graph: ir.Graph, name: str, value: np.generic | np.ndarray) -> ir.Value:
    """Return the initializer called "rows." + `name`, which all products share; add it if the graph has none."""
    name = f"rows.{name}"
    return graph.initializers.get(name) or initializer(graph, name, np.asarray(value))
