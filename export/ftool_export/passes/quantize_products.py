"""`QuantizeProducts`: quantise products with constant weights; the base of the passes for each 8-bit format."""

from abc import abstractmethod
from typing import ClassVar

import onnx_ir as ir

from ftool_export.passes import PassSettings, use_microsoft_operators
from ftool_export.passes.matching import clean, constant_matmuls, following_bias, layer_of, replace
from ftool_export.passes.quantized_weights import QuantizedWeight


class QuantizeProducts(ir.passes.InPlacePass):
    """Quantise every MatMul whose constant weight has at least `smallest` elements, except in layers left out.

    The Add of a bias after a product is replaced with it. A weight that several products share is quantised once. A
    subclass defines how a weight is quantised and which nodes compute the product.

    Attributes:
        operator: the operator of the quantised product.
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
        """Add the quantised form of the constant `weight`, float32 (inputs, outputs), to `graph`, and return it."""

    @abstractmethod
    def product(
        self, graph: ir.Graph, matmul: ir.Node, weight: QuantizedWeight, bias: ir.Value | None
    ) -> list[ir.Node]:
        """Return the nodes that replace `matmul` and the addition of `bias`; the last one gives the result."""
