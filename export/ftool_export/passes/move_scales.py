"""Move the scales of channels between neighbouring layers, which changes no answer (Nagel et al. 2019, section 4.1).

A few channels of some models' activations are hundreds of times larger than the others ("massive activations"). Rounded
to 8 bits together with them, the other numbers of their row or block are lost. Where a channel goes from one layer to
the next without meeting anything but multiplications, its weights on one side can be divided by a factor and those on
the other side multiplied by it:

    norm -> products                  the norm's weight and bias; the rows of the products' weights
    up projection -> down projection  the columns and bias of the projection that a gate multiplies; rows
    value -> output projection        the columns and bias of an attention's values; rows

Factors are powers of two, so fp32 gives the same bits. Each brings the ratio of a channel's largest activation to its
largest weight near the median ratio of the channels, so the result does not depend on how scales were divided before.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ftool_export.passes.matching import (
    constant,
    constant_matmuls,
    constant_shape,
    following_bias,
    initializer,
)

Exponents = NDArray[
    np.int8
]  # by which powers of two the channels of a layer's output are divided, (channels,)

_MOVED: Final = "scales_moved"  # key of the metadata of products whose weights were scaled
_WORTH_IT: Final = 2  # smallest exponent: factors below four change little
_FARTHEST: Final = 20
_NORMS: Final = frozenset({"LayerNormalization", "SimplifiedLayerNormalization"})
_SELECTIONS: Final = frozenset({"GatherND"})  # operators that choose whole rows


@dataclass(frozen=True, slots=True)
class _Neighbours:
    """Two neighbouring layers between which scales can be moved.

    Attributes:
        products: the products that read the channels.
        written: constants that hold the channels of the first layer, on their last axis, from `first` on.
        first: the position of the first channel in the constants of `written`.
        channels: for each input of the products, its channel in the first layer, int64 (inputs,).
        norm: the first layer, if it is a norm.
    """

    products: Sequence[ir.Node]
    written: Sequence[ir.Value]
    first: int
    channels: NDArray[np.int64]
    norm: ir.Node | None = None

    @property
    def name(self) -> str:
        """The name of the first product's weight."""
        weight = self.products[0].inputs[1]
        assert weight is not None
        return str(weight.name)


def measured_moves(model: ir.Model, peaks: Mapping[str, NDArray[np.float32]]) -> dict[str, Exponents]:
    """Return exponents for `PassSettings.moved`, by the name of the first reading product's weight.

    Args:
        model: an fp32 graph; it is not changed.
        peaks: by the name of a product's weight, the largest absolute value in each of its input channels, (inputs,).
    """
    model, found = model.clone(), {}
    for neighbours in _in_order(model):
        exponents = _exponents(neighbours, peaks)
        if exponents is not None:
            found[neighbours.name] = exponents
            _move(model.graph, neighbours, exponents)
    return found


def input_divisors(model: ir.Model, moved: Mapping[str, Exponents]) -> dict[str, NDArray[np.float32]]:
    """Return what the inputs of products are divided by, float32 (inputs,), by the name of each product's weight."""
    found = {}
    for neighbours in _in_order(model):
        if neighbours.name in moved:
            factors = np.exp2(moved[neighbours.name].astype(np.float32))[neighbours.channels]
            found.update({str(one.inputs[1].name): factors for one in neighbours.products if one.inputs[1]})
    return found


class MoveScales(ir.passes.InPlacePass):
    """Divide channels by the powers of two in `moved`, and multiply the weights that read them."""

    def __init__(self, moved: Mapping[str, Exponents]) -> None:
        super().__init__()
        self.moved = moved

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite `model` in place; the result says whether anything was modified."""
        modified = False
        for neighbours in _in_order(model):
            if neighbours.name not in self.moved or _MOVED in neighbours.products[0].metadata_props:
                continue
            _move(model.graph, neighbours, self.moved[neighbours.name])
            for product in neighbours.products:
                product.metadata_props[_MOVED] = "true"
            modified = True
        return ir.passes.PassResult(model, modified)


def _exponents(neighbours: _Neighbours, peaks: Mapping[str, NDArray[np.float32]]) -> Exponents | None:
    """Return the exponents of the channels of the first layer; None if nothing is worth moving or was measured."""
    names = [str(one.inputs[1].name) for one in neighbours.products if one.inputs[1] is not None]
    measured = next((peaks[name] for name in names if name in peaks), None)
    if measured is None:
        return None
    rows = [
        np.abs(array).max(axis=1)
        for one in neighbours.products
        if (array := constant(one.inputs[1])) is not None
    ]
    count = int(neighbours.channels.max()) + 1
    activation, weight = np.zeros(count), np.zeros(count)
    np.maximum.at(activation, neighbours.channels, measured)
    np.maximum.at(weight, neighbours.channels, np.max(rows, axis=0))
    used = (activation > 0) & (weight > 0)
    if not used.any():
        return None
    ratio = np.log2(activation[used] / weight[used])
    exponents = np.zeros(count, dtype=np.int8)
    exponents[used] = np.rint((ratio - np.median(ratio)) / 2).clip(-_FARTHEST, _FARTHEST)
    exponents[np.abs(exponents) < _WORTH_IT] = 0
    return exponents if exponents.any() else None


def _move(graph: ir.Graph, neighbours: _Neighbours, exponents: Exponents) -> None:
    factors = np.exp2(exponents.astype(np.float32))
    last = neighbours.first + len(factors)
    for value in neighbours.written:
        array = constant(value)
        assert array is not None
        scaled = array.copy()
        scaled[..., neighbours.first : last] /= factors
        _set(graph, value, scaled, neighbours.norm)
    for product in neighbours.products:
        weight = product.inputs[1]
        array = constant(weight)
        assert array is not None
        assert weight is not None
        _set(graph, weight, array * factors[neighbours.channels][:, None])


def _set(graph: ir.Graph, value: ir.Value, array: NDArray[np.float32], norm: ir.Node | None = None) -> None:
    """Give `value` the content `array`. If other layers share it, it becomes a constant of its own for `norm`."""
    if len(list(value.uses())) == 1:
        value.const_value = ir.tensor(array, name=value.name)
        return
    assert norm is not None, "only a norm's constants are shared"
    norm.replace_input_with(norm.inputs.index(value), initializer(graph, f"{norm.name}.{value.name}", array))


def _in_order(model: ir.Model) -> Iterator[_Neighbours]:
    """Yield neighbouring layers: norms last, because moves within a layer change the columns of what reads them."""
    readers: dict[ir.Value, list[ir.Node]] = {}
    for node in constant_matmuls(model):
        if node.inputs[0] is not None:
            readers.setdefault(node.inputs[0], []).append(node)
    found = [pair for value, nodes in readers.items() if (pair := _neighbours(value, nodes)) is not None]
    yield from sorted(found, key=lambda pair: pair.norm is not None)


def _neighbours(value: ir.Value, products: list[ir.Node]) -> _Neighbours | None:
    """Return the layer whose output `value` is and the products that read it, if scales can be moved between them."""
    weights = [one.inputs[1] for one in products if one.inputs[1] is not None]
    if any(len(list(weight.uses())) > 1 for weight in weights) or not _read_only_by(value, products):
        return None
    node = value.producer()
    while node is not None and node.op_type in _SELECTIONS and node.inputs[0] is not None:
        value, reader = node.inputs[0], node
        if not _read_only_by(value, [reader]):
            return None
        node = value.producer()
    shape = constant_shape(weights[0])
    assert shape is not None
    if node is None or node.outputs[0] is not value:
        return None
    same = np.arange(shape[0])
    if node.op_type in _NORMS:
        written = [one for one in node.inputs[1:3] if one is not None]
        if all(constant_shape(one) == (shape[0],) for one in written):
            return _Neighbours(products, written, 0, same, norm=node)
    if node.op_type == "Mul" and node.domain == "":
        for side in node.inputs:
            linear = _linear(side)
            if linear is not None and constant_shape(linear[0]) is not None:
                return _Neighbours(products, linear, 0, same)
    if node.op_type in ("GroupQueryAttention", "MultiHeadAttention"):
        return _values(node, products, shape[0])
    return None


def _values(attention: ir.Node, products: list[ir.Node], inputs: int) -> _Neighbours | None:
    """Return the neighbours that an attention's values and its output projection are, or None."""
    heads = attention.attributes.get_int("num_heads", 0)
    groups = attention.attributes.get_int("kv_num_heads", heads)
    if attention.op_type == "MultiHeadAttention" and len(attention.inputs) > 3 and attention.inputs[3]:
        return None  # a bias within the operator
    value = attention.inputs[2] if len(attention.inputs) > 2 and attention.inputs[2] else attention.inputs[0]
    split = value.producer() if value is not None else None
    if value is not None and split is not None and split.op_type == "Split":
        if value is not split.outputs[-1] or not _read_only_by(value, [attention]):
            return None
        value = split.inputs[0]
    linear = _linear(value)
    if linear is None or not heads or not groups or inputs % heads:
        return None
    shape, size = constant_shape(linear[0]), inputs // heads
    assert shape is not None
    channel = np.arange(inputs)
    channels = channel // size // (heads // groups) * size + channel % size
    return _Neighbours(products, linear, shape[1] - groups * size, channels)


def _linear(value: ir.Value | None) -> list[ir.Value] | None:
    """Return the weight, and the bias if there is one, of the product whose only reader reads `value`, or None."""
    if value is None or value.is_graph_output() or len(list(value.uses())) != 1:
        return None
    node = value.producer()
    added = None
    if node is not None and node.op_type == "Add":
        sides = [one.producer() for one in node.inputs if one is not None]
        added = next((one for one in sides if one is not None and one.op_type == "MatMul"), None)
    product = node if added is None else added
    if product is None or product.op_type != "MatMul" or constant_shape(product.inputs[1]) is None:
        return None
    bias = following_bias(product)
    if added is not None and (bias is None or bias[0] is not node):
        return None
    parts = [product.inputs[1], *([bias[1]] if added is not None and bias is not None else [])]
    found = [one for one in parts if one is not None]
    return found if all(len(list(one.uses())) == 1 for one in found) else None


def _read_only_by(value: ir.Value, nodes: Sequence[ir.Node]) -> bool:
    """Return whether each of `nodes` reads `value` once, and nothing else does."""
    uses = list(value.uses())
    return not value.is_graph_output() and len(uses) == len(nodes) and all(use.node in nodes for use in uses)
