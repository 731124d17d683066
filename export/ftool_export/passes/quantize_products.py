"""`QuantizeProducts`: the base class of the passes that quantise products, one pass for each 8-bit format."""

from abc import abstractmethod
from typing import ClassVar

import onnx_ir as ir

from ftool_export.passes import PassSettings, use_microsoft_operators
from ftool_export.passes.matching import clean, constant_matmuls, following_bias, layer_of, replace
from ftool_export.passes.quantized_weights import QuantizedWeight


class QuantizeProducts(ir.passes.InPlacePass):
    """Quantise products with constant weights: MatMul nodes, together with the Add of a bias after them.

    Weights with fewer than `PassSettings.smallest` elements and layers in `PassSettings.left_out` are not quantised. A
    weight that several products share is quantised once. Each subclass defines how a weight is quantised and which
    nodes compute the quantised product.

    Attributes:
        operator: the ONNX operator that computes the quantised product.
    """

    operator: ClassVar[str]

    def __init__(self, settings: PassSettings) -> None:
        super().__init__()
        self.settings = settings

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite `model` in place; the result says whether anything was modified."""
        products = constant_matmuls(model, self.settings.smallest)
        wanted = [node for node in products if layer_of(node) not in self.settings.left_out]
        weights: dict[ir.Value, QuantizedWeight] = {}
        for node in wanted:
            original = node.inputs[1]
            assert original is not None
            if original not in weights:
                weights[original] = self.quantize_weight(model.graph, original)
            add, bias = following_bias(node) or (None, None)
            new = self.product(model.graph, node, weights[original], bias)
            replace(model.graph, [node] if add is None else [node, add], new)
        if wanted:
            use_microsoft_operators(model)
            clean(model)
        return ir.passes.PassResult(model, bool(wanted))

    @abstractmethod
    def quantize_weight(self, graph: ir.Graph, weight: ir.Value) -> QuantizedWeight:
        """Quantise the constant `weight`, float32 (inputs, outputs), add the result to `graph`, and return it."""

    @abstractmethod
    def product(
        self, graph: ir.Graph, matmul: ir.Node, weight: QuantizedWeight, bias: ir.Value | None
    ) -> list[ir.Node]:
        """Return the nodes that replace `matmul` and the addition of `bias`; the last node gives the result."""
