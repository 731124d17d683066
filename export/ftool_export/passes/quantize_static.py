"""Quantise products to int8 with activation scales measured before, on real inputs (static quantisation).

Dynamic quantisation reads an activation tensor twice: for its range, and to round it. Here the range of every product's
input is a constant, so that rounding is one pass, and a row's result does not depend on the other rows of its batch:
the sums of `MatMulIntegerToFloat` are integers. Values outside the range become its ends. Weights are quantised as in
`quantize_matmul`, with 7 bits and one scale per output channel.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ftool_export.passes import MICROSOFT, PassSettings
from ftool_export.passes.matching import LAYER, initializer, layer_of
from ftool_export.passes.quantize_matmul import quantized_channels
from ftool_export.passes.quantize_products import QuantizeProducts
from ftool_export.passes.quantized_weights import SMALLEST_SCALE, QuantizedWeight
from ftool_export.passes.smooth_activations import SMOOTHED

INPUT_SCALE: Final = ".input_scale"  # ending of the name of the size of an activation's step
INPUT_ZERO: Final = ".input_zero"  # ending of the name of the integer that represents 0
_LEVELS: Final = 255


class InputLevels(NamedTuple):
    """The integers that represent an activation: x becomes `zero` + x / `step`, rounded, from 0 to 255.

    Both are scalars: `step` is float32, `zero` uint8.
    """

    step: NDArray[np.float32]
    zero: NDArray[np.uint8]


def input_levels(lowest: float, highest: float) -> InputLevels:
    """Return the levels that cover a range of numbers; the range is widened to include 0, which is exact."""
    lowest, highest = min(lowest, 0.0), max(highest, 0.0)
    step = max((highest - lowest) / _LEVELS, SMALLEST_SCALE)
    return InputLevels(np.array(step, dtype=np.float32), np.array(round(-lowest / step), dtype=np.uint8))


def measured_levels(
    ranges: Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]],
    smoothing: Mapping[str, NDArray[np.float32]],
) -> dict[str, InputLevels]:
    """Return `PassSettings.inputs`: by the name of a weight, the levels of its products' input.

    Args:
        ranges: by the weight's name, the lowest and the highest value of each input channel, float32 (inputs,).
        smoothing: `PassSettings.smoothing`: the multipliers of smoothed inputs, which are measured before smoothing.
    """
    found = {}
    for name, (lowest, highest) in ranges.items():
        multiplier = smoothing.get(name, np.float32(1.0))
        found[name] = input_levels(float((lowest * multiplier).min()), float((highest * multiplier).max()))
    return found


class QuantizeStatic(QuantizeProducts):
    """Replace products with constant weights by `MatMulIntegerToFloat` on inputs rounded by `PassSettings.inputs`.

    An input that several products read is rounded only once. The bias is added by the operator.
    """

    operator = "MatMulIntegerToFloat"

    def __init__(self, settings: PassSettings) -> None:
        super().__init__(settings)
        self._rounded: dict[ir.Value, list[ir.Value]] = {}  # by input: integers, step, zero

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite `model` in place; the result says whether anything was modified.

        Raises KeyError if a product's weight is not in `PassSettings.inputs`.
        """
        self._rounded = {}
        return super().call(model)

    def quantize_weight(self, graph: ir.Graph, weight: ir.Value) -> QuantizedWeight:
        """Quantise `weight` by output channel, add the result to the graph, and return it."""
        return quantized_channels(graph, weight, self.settings)

    def product(
        self, graph: ir.Graph, matmul: ir.Node, weight: QuantizedWeight, bias: ir.Value | None
    ) -> list[ir.Node]:
        """Return the nodes that round the input (if no other product has), multiply, and add `bias`."""
        source = matmul.inputs[0]
        assert source is not None
        notes: dict[str, str] = {LAYER: layer_of(matmul)}
        new = []
        if source not in self._rounded:
            scalars = self._scalars(graph, matmul)
            name = f"{matmul.name}.QuantizeLinear"
            node = ir.node("QuantizeLinear", [source, *scalars], name=name, metadata_props=dict(notes))
            self._rounded[source] = [node.outputs[0], *scalars]
            new.append(node)
        integers, step, zero = self._rounded[source]
        inputs: list[Any] = [integers, weight.levels, step, weight.scale, zero]
        product = ir.node(
            self.operator,
            inputs if bias is None else [*inputs, None, bias],
            domain=MICROSOFT,
            name=f"{matmul.name}.int8",
            metadata_props=notes,
        )
        return [*new, product]

    def _scalars(self, graph: ir.Graph, matmul: ir.Node) -> list[ir.Value]:
        """Add the levels of the input of `matmul` to the graph, and return them: step, zero."""
        weight = matmul.inputs[1]
        assert weight is not None
        name = (weight.name or "").removesuffix(SMOOTHED)
        step, zero = self.settings.inputs[name]
        return [
            initializer(graph, f"{name}{INPUT_SCALE}", step),
            initializer(graph, f"{name}{INPUT_ZERO}", zero),
        ]
