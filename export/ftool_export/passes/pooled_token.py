"""Compute the last layer only for the token that is pooled.

A network that pools by one token, such as BERT's [CLS], reads one row of the last layer's output. The attention of that
layer needs the keys and values of all tokens, but the query, the output projection and the feed-forward network only of
the pooled one: 10 of the 12 products of width x width in a layer of BERT. The other tokens' are not computed. Outputs
change only by the order of sums in the matrix products.

The pass moves the selection of the token up through the operators that treat each token separately.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import onnx_ir as ir

from ftool_export.passes import MICROSOFT, PassSettings
from ftool_export.passes.matching import (
    clean,
    constant,
    constant_matmuls,
    constant_shape,
    initializer,
    replace,
)

_ELEMENTWISE: Final = frozenset(
    {"Add", "Sum", "Sub", "Mul", "Div", "Gelu", "Relu", "Tanh", "Sigmoid", "Erf", "Softplus", "Pow", "Cast"}
)
_NORMS: Final = frozenset({"LayerNormalization", "SimplifiedLayerNormalization", "RMSNormalization"})
_TOKENS: Final = 1  # the axis of tokens in (batch, sequence, width)

Region = dict[ir.Node, tuple[int, ...]]  # nodes, and the indices of their inputs (batch, sequence, width)


class PooledTokenOnly(ir.passes.InPlacePass):
    """Select the pooled token before the last layer's operators, if no other token's output is read."""

    def __init__(self, settings: PassSettings) -> None:
        super().__init__()
        self.enabled = settings.pooled_token

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite `model` in place; the result says whether anything was modified."""
        products, modified = set(constant_matmuls(model)), False
        for node in list(model.graph) if self.enabled else ():
            index = _selected(node)
            if index is None:
                continue
            region = _region(model.graph, node)
            if products.isdisjoint(region):
                continue
            _narrow(model.graph, node, region, index)
            modified = True
        if modified:
            clean(model)
        return ir.passes.PassResult(model, modified)


def _selected(node: ir.Node) -> int | None:
    """Return the position of the token that `node` selects from (batch, sequence, width); None if it does not."""
    if (
        node.op_type != "Gather"
        or node.attributes.get_int("axis", 0) != _TOKENS
        or not _by_token(node.inputs[0])
    ):
        return None
    index = constant(node.inputs[1])
    return int(index) if index is not None and index.shape == () else None


def _by_token(value: ir.Value | None) -> bool:
    """Return whether a value is computed, and its shape is (batch, sequence, width) with a dynamic sequence."""
    if value is None or value.is_initializer() or value.shape is None or len(value.shape) != 3:
        return False
    return not isinstance(value.shape[_TOKENS], int)


def _region(graph: ir.Graph, selection: ir.Node) -> Region:
    """Return the nodes, last first, of whose outputs only the token that `selection` selects is read."""
    region: Region = {selection: (0,)}
    for node in reversed(graph):
        uses = [use for value in node.outputs for use in value.uses()]
        if not uses or any(value.is_graph_output() for value in node.outputs):
            continue
        inputs = _token_inputs(node)
        if inputs and all(use.idx in region.get(use.node, ()) for use in uses):
            region[node] = inputs
    del region[selection]
    return region


def _token_inputs(node: ir.Node) -> tuple[int, ...]:
    """Return the indices of the inputs of which a token's output needs only the same token.

    The result is empty if the operator is not known to treat each token separately.
    """
    if not _by_token(node.outputs[0]):
        return ()
    if node.op_type == "MultiHeadAttention" and node.domain == MICROSOFT:
        return _query(node)
    if node.op_type in _ELEMENTWISE and node.domain in ("", MICROSOFT):
        return _broadcast(node.inputs)
    last = node.attributes.get_int("axis", -1) in (-1, 2)
    if (node.op_type in _NORMS or node.op_type == "Split") and last:
        return (0,) if _by_token(node.inputs[0]) else ()
    if node.op_type == "MatMul" and len(constant_shape(node.inputs[1]) or ()) == 2:
        return (0,) if _by_token(node.inputs[0]) else ()
    return ()


def _query(attention: ir.Node) -> tuple[int, ...]:
    """Return the index of an attention's query; nothing if a bias or caches tell its positions apart."""
    others = attention.inputs[5:]
    causal = attention.attributes.get_int("unidirectional", 0)
    plain = _by_token(attention.inputs[0]) and attention.inputs[1] is not None
    return (0,) if plain and not causal and not any(others) and len(attention.outputs) == 1 else ()


def _broadcast(inputs: Sequence[ir.Value | None]) -> tuple[int, ...]:
    """Return the indices of the computed inputs, if all others are numbers or vectors of the width."""
    tokens = tuple(index for index, value in enumerate(inputs) if _by_token(value))
    others = [value for index, value in enumerate(inputs) if index not in tokens]
    vectors = all((shape := constant_shape(value)) is not None and len(shape) <= 1 for value in others)
    return tokens if vectors else ()


def _narrow(graph: ir.Graph, selection: ir.Node, region: Region, index: int) -> None:
    """Select the token `index` of every value that enters `region`, and let the nodes of `region` read only these."""
    position = initializer(graph, f"{selection.name}.token", np.array([index], dtype=np.int64))
    selected: dict[ir.Value, ir.Value] = {}
    for node, inputs in region.items():
        for place in inputs:
            value = node.inputs[place]
            assert value is not None
            if value.producer() in region:
                continue
            if value not in selected:
                selected[value] = _select(graph, value, position, 1)
            node.replace_input_with(place, selected[value])
        for value in node.outputs:
            value.shape = _with_tokens(value, 1)
        if node.op_type == "MultiHeadAttention":
            _attend_twice(graph, node)
    axis = initializer(graph, f"{selection.name}.axis", np.array([_TOKENS], dtype=np.int64))
    only = ir.node("Squeeze", [selection.inputs[0], axis], name=f"{selection.name}.only")
    replace(graph, [selection], [only])


def _select(graph: ir.Graph, value: ir.Value, positions: ir.Value, count: int) -> ir.Value:
    """Add a node that selects the `count` tokens of `value` at `positions`; return its output (batch, count, width)."""
    node = ir.node("Gather", [value, positions], {"axis": _TOKENS}, name=f"{value.name}.{count}_tokens")
    result = node.outputs[0]
    result.name, result.shape, result.type = f"{node.name}.selected", _with_tokens(value, count), value.type
    producer = value.producer()
    if producer is None:
        graph.insert_before(graph[0], node)
    else:
        graph.insert_after(producer, node)
    return result


def _attend_twice(graph: ir.Graph, attention: ir.Node) -> None:
    """Give `attention` its one query twice, and keep one of the two equal results.

    With a single query ONNX Runtime 1.32 multiplies a vector by a matrix, and its sums depend on the padding of the
    keys: a logit in w8 changed by 2e-5 between a text alone and in a batch. With two queries it changes by 0.
    """
    query, found = attention.inputs[0], attention.outputs[0]
    assert query is not None
    readers = list(found.uses())
    both = _select(graph, query, initializer(graph, f"{attention.name}.twice", np.array([0, 0])), 2)
    attention.replace_input_with(0, both)
    first = _select(graph, found, initializer(graph, f"{attention.name}.once", np.array([0])), 1)
    for use in readers:
        use.node.replace_input_with(use.idx, first)
    found.shape = _with_tokens(found, 2)


def _with_tokens(value: ir.Value, count: int) -> ir.Shape:
    assert value.shape is not None
    return ir.Shape([value.shape[0], count, *value.shape[2:]])
