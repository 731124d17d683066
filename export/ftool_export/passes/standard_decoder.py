"""Give a decoder's graph the inputs and outputs that optimum, transformers.js and onnxruntime-genai expect.

    input_ids, position_ids      int64 (batch_size, sequence_length)
    attention_mask               int64 (batch_size, total_sequence_length), 0 on padding
    past_key_values.N.key        float (batch_size, heads, past_sequence_length, head_dim), and .value
    logits                       float (batch_size, sequence_length, vocabulary)
    present.N.key                float (batch_size, heads, total_sequence_length, head_dim), and .value

`GroupQueryAttention` appends new keys and values behind a past of any length, so the same operators serve caches that
grow and, as onnxruntime-genai has them, buffers of a fixed length. The operator takes every row's length, which can't
describe padding on the left, where these libraries put it. So all rows get the length of the mask, and a bias keeps
padding out of attention.
"""

from typing import Any, Final

import numpy as np
import onnx_ir as ir

from ftool_export.capture.torch_export import BATCH, SEQUENCE
from ftool_export.passes.drop_mask import MASK
from ftool_export.passes.matching import clean, initializer
from ftool_export.passes.standard_names import AXES, rename_axes

IDS: Final = "input_ids"
LOGITS_AT: Final = "logits_at"
LENGTHS: Final = "seqlens_k"
LONGEST: Final = "total_length"
_TOTAL: Final = "total_sequence_length"
_AXES: Final = {**AXES, LONGEST: _TOTAL}
_PAST: Final = "past_sequence_length"
_BIAS: Final = 10  # index of GroupQueryAttention's input for numbers that are added to scores
_LOW: Final = -1e9  # is added to the scores of padding: e**-1e9 is 0, and a row of padding only stays finite


class StandardDecoder(ir.passes.InPlacePass):
    """Let a decoder without an encoder read a mask, give logits at every position, and have standard names."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite `model` in place; the result says whether anything was modified."""
        graph = model.graph
        inputs = {str(value.name): value for value in graph.inputs}
        if LOGITS_AT not in inputs:
            return ir.passes.PassResult(model, modified=False)
        forget_shapes(graph)
        keep_every_position(graph, inputs[LOGITS_AT])
        if LENGTHS in inputs:
            _read_mask(graph, inputs)
        clean(model)
        for name in (LOGITS_AT, LENGTHS, LONGEST):
            if name in inputs:
                graph.inputs.remove(inputs[name])
        _rename(graph)
        return ir.passes.PassResult(model, modified=True)


def forget_shapes(graph: ir.Graph) -> None:
    """Remove the shapes of all values but inputs and outputs, because their axes get other names."""
    for node in graph:
        for value in node.outputs:
            if not value.is_graph_output():
                value.shape = None


def keep_every_position(graph: ir.Graph, kept: ir.Value) -> None:
    """Let the head read every position, in place of those in the input `kept`, and name the axes of the logits."""
    for node in list(graph):
        hidden = node.inputs[0] if node.op_type == "GatherND" else None
        if hidden is not None and _leads_to(node.inputs[1], kept):
            ir.convenience.replace_all_uses_with(node.outputs[0], hidden)
    logits = graph.outputs[0]
    assert logits.shape is not None
    logits.shape = ir.Shape([AXES[BATCH], AXES[SEQUENCE], logits.shape[2]])


def _leads_to(value: ir.Value | None, source: ir.Value) -> bool:
    """Return whether `value` is `source`, changed only by operators with one computed input."""
    while value is not None and value is not source:
        node = value.producer()
        value = node.inputs[0] if node is not None and node.inputs else None
    return value is source


def _read_mask(graph: ir.Graph, inputs: dict[str, ir.Value]) -> None:
    """Compute the rows' lengths from a new input, the mask, and keep its padding out of attention."""
    mask = ir.val(MASK, ir.DataType.INT64, [AXES[BATCH], _TOTAL])
    graph.inputs.insert(1, mask)
    made = Nodes(graph, MASK)
    shape, new = made("Shape", [mask]), made("Shape", [inputs[IDS]])
    rows, total = made("Gather", [shape, made.integers([0])]), made("Gather", [shape, made.integers([1])])
    longest = made("Cast", [made("Squeeze", [total])], to=int(ir.DataType.INT32))
    lengths = made("Expand", [made("Sub", [longest, made.constant(np.array(1, np.int32))]), rows])
    seen = made("Cast", [mask], to=int(ir.DataType.FLOAT))
    hidden = made("Sub", [made.constant(np.array(1, np.float32)), seen])
    low = made("Mul", [hidden, made.constant(np.array(_LOW, np.float32))])
    one, added = made.integers([1]), made("Gather", [new, made.integers([1])])
    size = made("Concat", [rows, one, added, total], axis=0)
    bias = made("Expand", [made("Unsqueeze", [low, made.integers([1, 2])]), size])
    attentions = [node for node in graph if node.op_type == "GroupQueryAttention"]
    for node in attentions:
        own = node.inputs[_BIAS] if len(node.inputs) > _BIAS else None
        node.resize_inputs(_BIAS + 1)
        if own is None:
            node.replace_input_with(_BIAS, bias)
        else:
            both = ir.node("Add", [own, bias], name=f"{node.name}.bias")
            graph.insert_before(node, both)
            node.replace_input_with(_BIAS, both.outputs[0])
    graph.insert_before(graph[0], made.nodes)
    ir.convenience.replace_all_uses_with(inputs[LENGTHS], lengths)
    ir.convenience.replace_all_uses_with(inputs[LONGEST], longest)


class Nodes:
    """Makes nodes and constants for a graph; the nodes are collected in `nodes`, in order, to be inserted."""

    def __init__(self, graph: ir.Graph, prefix: str) -> None:
        """All names begin with `prefix`."""
        self.graph, self.prefix = graph, prefix
        self.nodes: list[ir.Node] = []

    def __call__(self, operator: str, inputs: list[ir.Value], **attributes: Any) -> ir.Value:
        """Make a node, and return its output."""
        node = ir.node(operator, inputs, attributes or None, name=f"{self.prefix}.{len(self.nodes)}")
        self.nodes.append(node)
        return node.outputs[0]

    def constant(self, array: Any) -> ir.Value:
        """Return a new initializer."""
        return initializer(self.graph, f"{self.prefix}.constant", array)

    def integers(self, numbers: list[int]) -> ir.Value:
        """Return a new initializer, int64 (numbers,)."""
        return self.constant(np.array(numbers, dtype=np.int64))


def _rename(graph: ir.Graph) -> None:
    """Rename caches and axes."""
    for value in graph.inputs:
        if str(value.name).startswith("past."):
            value.name = str(value.name).replace("past.", "past_key_values.", 1)
            name_axis(value, _PAST)
    for value in graph.outputs:
        if str(value.name).startswith("present."):
            name_axis(value, _TOTAL)
    rename_axes([*graph.inputs, *graph.outputs], _AXES)


def name_axis(cache: ir.Value, name: str) -> None:
    """Name the axis of a cache's tokens."""
    assert cache.shape is not None
    cache.shape = ir.Shape([cache.shape[0], cache.shape[1], name, cache.shape[3]])
