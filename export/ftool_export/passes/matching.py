"""Helpers for passes: find constants, producers and consumers, add initializers, replace nodes."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes.common import NameFixPass, RemoveUnusedNodesPass

_JOINING: Final = frozenset({"Add", "Sum", "Sub", "Mul", "Div", "Concat", "Where"})
LAYER: Final = "layer"  # the key of a node's metadata that holds its layer's name


def layer_of(node: ir.Node) -> str:
    """Return the name of the PyTorch layer to which the node belongs; the node's own name if the layer is unknown."""
    return node.metadata_props.get(LAYER) or node.name or node.op_type


def layers(nodes: Iterable[ir.Node]) -> list[str]:
    """Return the names of the layers to which `nodes` belong, in order, without duplicates."""
    return list(dict.fromkeys(map(layer_of, nodes)))


def constant(value: ir.Value | None) -> NDArray[Any] | None:
    """Return the content of an initializer; None for a value that is computed or is a graph input."""
    if value is None or value.const_value is None or not value.is_initializer():
        return None
    return value.const_value.numpy()


def constant_shape(value: ir.Value | None) -> tuple[int, ...] | None:
    """Return an initializer's shape without reading its content; None for any other value."""
    if value is None or value.const_value is None or not value.is_initializer():
        return None
    return tuple(int(size) for size in value.const_value.shape.numpy())


def only_consumer(value: ir.Value) -> ir.Node | None:
    """Return the only node that reads `value`; None if several nodes or none read it, or if it is a graph output."""
    uses = list(value.uses())
    return uses[0].node if len(uses) == 1 and not value.is_graph_output() else None


def constant_matmuls(model: ir.Model, smallest: int = 1, *, operator: str = "MatMul") -> list[ir.Node]:
    """Return the nodes of `operator` whose weight is a constant matrix of at least `smallest` elements, in order."""
    found = []
    for node in model.graph:
        matches = node.op_type == operator and node.domain == ""
        shape = constant_shape(node.inputs[1]) if matches else None
        if shape is not None and len(shape) == 2 and shape[0] * shape[1] >= smallest:
            found.append(node)
    return found


def output_layer(model: ir.Model, smallest: int = 1) -> frozenset[str]:
    """Return the layer whose product, as in `constant_matmuls`, the graph's first output is computed from directly.

    The result is empty if such a product is not found before a node that joins two computed values, such as a
    residual sum.
    """
    products = set(constant_matmuls(model, smallest))
    node = model.graph.outputs[0].producer()
    while node is not None and node not in products:
        computed = [value for value in node.inputs if value is not None and value.producer() is not None]
        if node.op_type in _JOINING and len(computed) > 1:
            return frozenset()
        node = node.inputs[0].producer() if node.inputs and node.inputs[0] is not None else None
    return frozenset() if node is None else frozenset({layer_of(node)})


def widest_activation(model: ir.Model) -> int | None:
    """Return the largest width of a product with a constant weight, without that of the output; None without any."""
    output = output_layer(model)
    widths = [
        shape[1]
        for node in constant_matmuls(model)
        if layer_of(node) not in output and (shape := constant_shape(node.inputs[1])) is not None
    ]
    return max(widths, default=None)


def lookups(table: ir.Value) -> list[ir.Node]:
    """Return the Gather nodes that look up rows of `table`."""
    nodes = [use.node for use in table.uses()]
    return [
        node
        for node in nodes
        if node.op_type == "Gather" and node.inputs[0] is table and node.attributes.get_int("axis", 0) == 0
    ]


def following_bias(node: ir.Node) -> tuple[ir.Node, ir.Value] | None:
    """Return the node that adds a bias to the output of `node`, and the bias; None if no bias is added.

    The Add must be the only reader of `node`'s output, and the bias must be a constant vector.
    """
    add = only_consumer(node.outputs[0])
    if add is None or add.op_type != "Add" or add.domain != "":
        return None
    bias = add.inputs[0] if add.inputs[1] is node.outputs[0] else add.inputs[1]
    shape = constant_shape(bias)
    return (add, bias) if bias is not None and shape is not None and len(shape) == 1 else None


def initializer(graph: ir.Graph, name: str, array: NDArray[Any]) -> ir.Value:
    """Add an initializer to `graph`, and return it; if `name` is taken, it is called `name_1`, `name_2`, ..."""
    free, number = name, 1
    while free in graph.initializers:
        free, number = f"{name}_{number}", number + 1
    value = ir.val(free, const_value=ir.tensor(np.ascontiguousarray(array), name=free))
    graph.register_initializer(value)
    return value


def replace(graph: ir.Graph, old: Sequence[ir.Node], new: Sequence[ir.Node]) -> None:
    """Replace the nodes `old` by the nodes `new`.

    The outputs of the last new node take the names and the readers of the last old node's outputs.
    """
    ir.convenience.replace_nodes_and_values(graph, old[-1], old, new, old[-1].outputs, new[-1].outputs)


def clean(model: ir.Model) -> None:
    """Remove nodes and initializers that nothing reads, and make node names unique, as ONNX Runtime requires."""
    RemoveUnusedNodesPass()(model)
    NameFixPass()(model)
