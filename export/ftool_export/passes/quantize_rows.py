"""int8 with one activation scale a row: fast for many tokens at once, and no row depends on its company.

onnxruntime's own dynamic int8 takes one scale for all of a tensor. Here the graph divides each row by its largest
value before the integers are multiplied, and multiplies it back after:

    x W = m (x / m) W,   m = max |x| of the row

The product in between is `MatMulIntegerToFloat`, whose sums are whole numbers: a row's result is the same bit for bit,
alone and in any batch. Weights are those of `quantize_matmul`, 7 bits and one scale an output, so that sums fit 16
bits where a CPU without VNNI adds two products.
"""

from typing import Final

import numpy as np
import onnx_ir as ir

from ftool_export.passes import MICROSOFT, PassResult, PassSettings, use_microsoft_operators
from ftool_export.passes.matching import (
    LAYER,
    clean,
    constant,
    constant_matmuls,
    following_bias,
    initializer,
    layer_of,
    replace,
)
from ftool_export.passes.quantize_matmul import quantize_channels

OPERATOR: Final = "MatMulIntegerToFloat"
_LEVELS: Final = 127
_ZERO_POINT: Final = 128
_SMALLEST: Final = 1e-30  # what a row of zeros is divided by


def apply(model: ir.Model, settings: PassSettings) -> PassResult:
    """Quantise every product with a constant weight of size, but those of layers left out."""
    rewrite = _Rewrite(model.graph)
    products = [n for n in constant_matmuls(model, settings.smallest) if layer_of(n) not in settings.left_out]
    for node in products:
        rewrite.quantize(node)
    if products:
        use_microsoft_operators(model)
        clean(model)
    return PassResult(model, len(products))


class _Rewrite:
    """Constants that all products share, and inputs and weights that several read, each made once."""

    def __init__(self, graph: ir.Graph) -> None:
        self.graph = graph
        self._constants: dict[str, ir.Value] = {}
        self._rows: dict[ir.Value, tuple[ir.Value, ir.Value]] = {}  # integers, and what they were divided by
        self._weights: dict[ir.Value, tuple[ir.Value, ir.Value]] = {}

    def quantize(self, matmul: ir.Node) -> None:
        """Put the integers' product in the place of `matmul` and of the bias that follows it."""
        source = matmul.inputs[0]
        assert source is not None
        notes = {LAYER: layer_of(matmul)}
        new: list[ir.Node] = []
        if source not in self._rows:
            new += self._divided(source, matmul)
        integers, largest = self._rows[source]
        weight, scale = self._weight(matmul)
        product = ir.node(
            OPERATOR,
            [integers, weight, self._level(), scale, self._zero_point()],
            domain=MICROSOFT,
            name=f"{matmul.name}.int8",
            metadata_props=dict(notes),
        )
        scaled = ir.node(
            "Mul", [product.outputs[0], largest], name=f"{matmul.name}.scaled", metadata_props=dict(notes)
        )
        new += [product, scaled]
        biased = following_bias(matmul)
        if biased:
            add = ir.node("Add", [scaled.outputs[0], biased[1]], metadata_props=dict(notes))
            add.name = f"{matmul.name}.biased"
            new.append(add)
        replace(self.graph, [matmul, biased[0]] if biased else [matmul], new)

    def _divided(self, source: ir.Value, reader: ir.Node) -> list[ir.Node]:
        """Nodes that give the integers of `source` and the largest value of each of its rows."""

        def node(operator: str, inputs: list[ir.Value], **attributes: int) -> ir.Node:
            name = f"{reader.name}.row.{operator}"
            return ir.node(operator, inputs, attributes, name=name, metadata_props={LAYER: layer_of(reader)})

        size = node("Abs", [source])
        largest = node(
            "ReduceMax", [size.outputs[0], self._constant("last_axis", np.array([-1]))], keepdims=1
        )
        divisor = node("Max", [largest.outputs[0], self._constant("smallest", np.float32(_SMALLEST))])
        share = node("Div", [source, divisor.outputs[0]])
        integers = node("QuantizeLinear", [share.outputs[0], self._level(), self._zero_point()])
        self._rows[source] = integers.outputs[0], divisor.outputs[0]
        return [size, largest, divisor, share, integers]

    def _weight(self, matmul: ir.Node) -> tuple[ir.Value, ir.Value]:
        original = matmul.inputs[1]
        assert original is not None
        if original not in self._weights:
            array = constant(original)
            assert array is not None
            weight, scale = quantize_channels(array)
            self._weights[original] = (
                initializer(self.graph, f"{original.name}.int8", weight),
                initializer(self.graph, f"{original.name}.scale", scale),
            )
        return self._weights[original]

    def _level(self) -> ir.Value:
        return self._constant("level", np.float32(1 / _LEVELS))

    def _zero_point(self) -> ir.Value:
        return self._constant("zero", np.uint8(_ZERO_POINT))

    def _constant(self, name: str, value: np.generic | np.ndarray) -> ir.Value:
        if name not in self._constants:
            self._constants[name] = initializer(self.graph, f"rows.{name}", np.asarray(value))
        return self._constants[name]
