"""Store float32 constants as float16 and compute in float16, for GPUs, whose matrix products are fastest in it.

ONNX Runtime's own converter (`onnxruntime.transformers.float16`) surrounds every operator that stays in float32 with
casts. This pass decides for the graph as a whole, so that neighbours share a type:

- Matrix products, attention, norms of layers and softmax compute in float16: their CUDA kernels sum in float32 and
  round the result only (`AccumulateType` in softmax.cc, `U = float` in layer_norm_impl.cu).
- Reductions, such as the sum of a text's token vectors or a vector's length, and powers compute in float32: in float16
  their result, or a square before it, may exceed 65,504. So do operators that this pass does not know.
- Elementwise operators and those that only move numbers take the type of the numbers that they read, as autocast in
  PyTorch does. With a small constant, such as the 1e-12 that keeps a divisor from 0, they compute in float32.

Constants beyond float16's range, such as a mask's -3.4e38, become its largest number. Inputs and outputs of the graph
keep their types.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ftool_export.passes import MICROSOFT
from ftool_export.passes.matching import LAYER, constant, initializer, layer_of

LARGEST: Final = 65_504.0  # of float16
_SMALLEST_NORMAL: Final = 2.0**-14  # smaller numbers lose digits in float16, and below 3e-8 become 0
_FLOAT, _HALF = ir.DataType.FLOAT, ir.DataType.FLOAT16

_IN_HALF: Final = frozenset(
    {
        *("MatMul", "Gemm", "Conv", "LayerNormalization", "Softmax"),
        *("SimplifiedLayerNormalization", "SkipLayerNormalization", "MultiHeadAttention", "RotaryEmbedding"),
    }
)
# These move numbers, whose type they keep.
MOVING: Final = frozenset(
    {
        *(
            "Concat",
            "Expand",
            "Flatten",
            "Gather",
            "GatherElements",
            "GatherND",
            "Identity",
            "Pad",
            "Reshape",
        ),
        *("Slice", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze", "Where"),
    }
)
_FOLLOWING: Final = MOVING | {
    *(
        "Abs",
        "Add",
        "Cast",
        "Clip",
        "ConstantOfShape",
        "Div",
        "Elu",
        "Erf",
        "FastGelu",
        "Gelu",
        "LeakyRelu",
        "Max",
    ),
    *("Min", "Mul", "Neg", "QuickGelu", "Relu", "Selu", "Sigmoid", "Sub", "Sum", "Tanh"),
}


class HalfFloats(ir.passes.InPlacePass):
    """Convert a float32 graph to float16, except for operators that need float32."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite `model` in place; the result says whether anything was modified."""
        graph = model.graph
        if has_half_floats(graph):
            return ir.passes.PassResult(model, modified=False)
        halves = _nodes_in_half(graph)
        for value in list(graph.initializers.values()):
            _convert_constant(graph, value, halves)
        for node in halves:
            _convert_type(node)
        _insert_casts(graph, halves)
        _restore_outputs(graph)
        return ir.passes.PassResult(model, bool(halves))


def has_half_floats(graph: ir.Graph) -> bool:
    """Return whether the graph computes or stores anything in float16."""
    computed = (value for node in graph for value in node.outputs)
    return any(value.dtype == _HALF for value in (*graph.initializers.values(), *computed))


def set_dtype(value: ir.Value, dtype: ir.DataType) -> None:
    """Set the type of a tensor's numbers. Unlike `value.dtype = dtype`, this does not change clones of the graph."""
    value.type = ir.TensorType(dtype)


def to_half(array: NDArray[Any]) -> NDArray[np.float16]:
    """Return float32 numbers as float16; finite ones beyond its range become the largest or smallest finite number."""
    clamped = np.where(np.isfinite(array), array.clip(-LARGEST, LARGEST), array)
    return clamped.astype(np.float16)


def _nodes_in_half(graph: ir.Graph) -> dict[ir.Node, None]:
    """Return, in graph order, the nodes that shall compute in float16."""
    halves: dict[ir.Node, None] = {}
    for node in graph:
        if any(value.dtype == _FLOAT for value in node.outputs) and _fits_half(node, halves):
            halves[node] = None
    return halves


def _fits_half(node: ir.Node, halves: Mapping[ir.Node, None]) -> bool:
    """Return whether a node shall compute in float16; `halves` has the earlier nodes that do."""
    if node.domain not in ("", MICROSOFT) or any(_is_small(value) for value in node.inputs):
        return False
    if node.op_type in _IN_HALF:
        return True
    if node.op_type not in _FOLLOWING:
        return False
    if node.op_type == "Cast" and node.inputs[0] is not None and node.inputs[0].dtype != _FLOAT:
        return node.inputs[0].dtype == ir.DataType.BOOL  # integers may be counts or positions beyond 2,048
    sources = [_is_half(value, halves) for value in _computed(node)]
    if node.op_type == "Div" and node.inputs[1] in _computed(node) and not _is_half(node.inputs[1], halves):
        return False  # float16 might make the divisor 0
    mixed = len(set(sources)) == 2
    return not sources or (any(sources) and not (mixed and _read_in_float32(node)))


def _computed(node: ir.Node) -> list[ir.Value]:
    """Return the float32 inputs of a node that are not constants."""
    values = (value for value in node.inputs if value is not None and value.dtype == _FLOAT)
    return [value for value in values if not value.is_initializer()]


def _is_half(value: ir.Value | None, halves: Mapping[ir.Node, None]) -> bool:
    producer = value.producer() if value is not None else None
    return producer is not None and producer in halves


def _read_in_float32(node: ir.Node) -> bool:
    """Return whether everything that reads a node's results computes in float32 in any case."""
    readers = [use.node for value in node.outputs for use in value.uses()]
    return bool(readers) and all(reader.op_type not in _IN_HALF | _FOLLOWING for reader in readers)


def _is_small(value: ir.Value | None) -> bool:
    """Return whether a value is a constant of one number that float16 would turn into 0 or rob of digits."""
    array = constant(value) if value is not None and value.dtype == _FLOAT else None
    return array is not None and array.size == 1 and bool(0 < np.abs(array).max() < _SMALLEST_NORMAL)


def _convert_constant(graph: ir.Graph, value: ir.Value, halves: Mapping[ir.Node, None]) -> None:
    """Convert a constant for the nodes in float16 that read it; if others read it too, they keep the original."""
    array = constant(value) if value.dtype == _FLOAT else None
    readers = [use for use in value.uses() if use.node in halves]
    if array is None or not readers:
        return
    half = ir.tensor(to_half(array), name=value.name)
    if len(readers) == len(list(value.uses())) and not value.is_graph_output():
        value.const_value = half
        set_dtype(value, _HALF)
        return
    copy = initializer(graph, f"{value.name}.half", half.numpy())
    for use in readers:
        use.node.replace_input_with(use.idx, copy)


def _convert_type(node: ir.Node) -> None:
    for value in node.outputs:
        if value.dtype == _FLOAT:
            set_dtype(value, _HALF)
    if node.op_type == "Cast":
        node.attributes["to"] = ir.AttrInt64("to", int(_HALF))
    if node.op_type == "ConstantOfShape":
        given = node.attributes.get("value")
        filling = np.zeros(1, np.float32) if given is None else given.as_tensor().numpy()
        node.attributes["value"] = ir.AttrTensor("value", ir.tensor(to_half(filling)))


def _insert_casts(graph: ir.Graph, halves: Mapping[ir.Node, None]) -> None:
    """Insert a Cast between nodes of different types; readers of one value share it."""
    casts: dict[ir.Value, ir.Value] = {}
    for node in list(graph):
        floats = (_FLOAT, _HALF)
        for place, value in enumerate(node.inputs):
            if value is None or value.is_initializer() or value.dtype not in floats or node.op_type == "Cast":
                continue
            wanted = _HALF if node in halves else _FLOAT
            if value.dtype == wanted:
                continue
            if value not in casts:
                casts[value] = _cast(graph, value, wanted)
            node.replace_input_with(place, casts[value])


def _cast(graph: ir.Graph, value: ir.Value, wanted: ir.DataType) -> ir.Value:
    producer = value.producer()
    notes = {} if producer is None else {LAYER: layer_of(producer)}
    name = f"{value.name}.{'half' if wanted == _HALF else 'float'}"
    cast = ir.node("Cast", [value], {"to": int(wanted)}, name=f"{name}/Cast", metadata_props=notes)
    result = cast.outputs[0]
    result.name, result.dtype, result.shape = name, wanted, value.shape
    if producer is None:
        graph.insert_before(graph[0], cast)
    else:
        graph.insert_after(producer, cast)
    return result


def _restore_outputs(graph: ir.Graph) -> None:
    """Cast outputs of the graph that are in float16 back to float32, under their names."""
    for place, value in enumerate(graph.outputs):
        if value.dtype == _HALF:
            result = _cast(graph, value, _FLOAT)
            result.name, value.name = value.name, f"{value.name}.half"
            graph.outputs[place] = result
