"""Imitate float16 arithmetic on the CPU, to judge graphs in float16 without a GPU.

ONNX Runtime's CPU provider runs a float16 graph in float32, and rounds nothing between its operators, so numbers that a
GPU could not represent pass unnoticed. The graphs made here compute in float32 and round to float16 after every
operator that computes in float16 on a GPU, with casts that ONNX Runtime does not remove. What a GPU rounds inside an
operator, and the order of its sums, are not imitated.
"""

import onnx_ir as ir

from ftool_export.passes.half_floats import MOVING, set_dtype

_FLOAT, _HALF = ir.DataType.FLOAT, ir.DataType.FLOAT16


def imitate_half(model: ir.Model) -> ir.Model:
    """Return a float32 graph that gives the outputs of a float16 graph up to what happens inside operators.

    Numbers beyond float16's range become infinite, as on a GPU. `model` is not changed.
    """
    copy = model.clone()
    for value in copy.graph.initializers.values():
        if value.dtype == _HALF and value.const_value is not None:
            numbers = value.const_value.numpy().astype("float32")
            value.const_value = ir.tensor(numbers, name=value.name)
            set_dtype(value, _FLOAT)
    for node in list(copy.graph):
        _round_results(copy.graph, node)
    return copy


def _round_results(graph: ir.Graph, node: ir.Node) -> None:
    """Make a node compute in float32, and round its float16 results unless it only moves rounded numbers."""
    halves = [value for value in node.outputs if value.dtype == _HALF]
    if halves and node.op_type == "Cast":
        node.attributes["to"] = ir.AttrInt64("to", int(_FLOAT))
    if halves and node.op_type == "ConstantOfShape":
        filling = node.attributes["value"].as_tensor().numpy().astype("float32")
        node.attributes["value"] = ir.AttrTensor("value", ir.tensor(filling))
    for value in halves:
        set_dtype(value, _FLOAT)
        if node.op_type not in MOVING:
            _round(graph, node, value)


def _round(graph: ir.Graph, node: ir.Node, value: ir.Value) -> None:
    assert not value.is_graph_output()  # outputs of a float16 graph are cast to float32
    readers = list(value.uses())
    down = ir.node("Cast", [value], {"to": int(_HALF)}, name=f"{value.name}/Round")
    up = ir.node("Cast", [down.outputs[0]], {"to": int(_FLOAT)}, name=f"{value.name}/Rounded")
    down.outputs[0].name, up.outputs[0].name = f"{value.name}.rounding", f"{value.name}.rounded"
    down.outputs[0].dtype, up.outputs[0].dtype = _HALF, _FLOAT
    up.outputs[0].shape = value.shape
    graph.insert_after(node, [down, up])
    for use in readers:
        use.node.replace_input_with(use.idx, up.outputs[0])
