"""Facts about an ONNX graph: its precision, its operators, and known causes of wrong or slow answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx_ir as ir

from ftool_export.passes import PassSettings
from ftool_export.passes.half_floats import has_half_floats
from ftool_export.passes.matching import constant, constant_matmuls, constant_shape, layers, lookups
from ftool_runtime.bundle.precisions import PrecisionName

# Operators that quantise activations during inference or with constant scales.
_ACTIVATIONS: Final = frozenset(
    {
        "DynamicQuantizeLinear", "DynamicQuantizeMatMul", "MatMulInteger", "MatMulIntegerToFloat", "QAttention",
        "QGemm", "QLinearMatMul", "QuantizeLinear",
    }
)  # fmt: skip
_BLOCKS: Final = frozenset({"MatMulNBits", "MatMulBnb4"})  # operators with weights in blocks of a few bits
_NIBBLES: Final = frozenset({ir.DataType.INT4, ir.DataType.UINT4})
_FUSED: Final = frozenset({"Attention", "GroupQueryAttention", "MultiHeadAttention", "QAttention"})
# 255 * 2 * w must fit into 16 bits: processors without VNNI add two products of an unsigned and a signed byte.
_SAFE_WEIGHT: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphFacts:
    """Facts about a graph.

    Attributes:
        producer: the tool that wrote the file, as the file says.
        opset: the version of ONNX's own operators.
        bytes: the size of the weights.
        precision: the precision whose limits the graph is judged by.
        attention: "fused" if an attention is one operator, else "plain".
        operators: the number of nodes.
        float_products: the layers of a quantised graph whose large matrix product is still in floats.
        float_tables: the bytes of large embedding tables of a quantised graph that are still in floats.
        saturating: the names of weights with which sums overflow on processors without VNNI.
        equal_weights: how many of the graph's float matrices are the checkpoint's, and how many there are; None in a
            graph without large float matrices.
    """

    producer: str
    opset: int | None
    bytes: int
    precision: PrecisionName
    attention: str
    operators: int
    float_products: tuple[str, ...]
    float_tables: int
    saturating: tuple[str, ...]
    equal_weights: tuple[int, int] | None


def facts_of(model: ir.Model, state: Mapping[str, Any]) -> GraphFacts:
    """Return facts about a graph; `state` has the checkpoint's tensors by name."""
    graph, smallest = model.graph, PassSettings()
    names = {node.op_type for node in graph}
    precision = precision_of(model)
    quantised = precision not in ("fp32", "fp16")
    products = [
        *constant_matmuls(model, smallest.smallest),
        *constant_matmuls(model, smallest.smallest, operator="Gemm"),
    ]
    tables = [value for value in graph.initializers.values() if lookups(value) and _is_float(value)]
    sizes = [value.const_value.nbytes for value in tables if value.const_value is not None]
    return GraphFacts(
        producer=" ".join(filter(None, (model.producer_name, model.producer_version))) or "unknown",
        opset=model.opset_imports.get(""),
        bytes=sum(
            value.const_value.nbytes for value in graph.initializers.values() if value.const_value is not None
        ),
        precision=precision,
        attention="fused" if names & _FUSED else "plain",
        operators=graph.num_nodes(),
        float_products=tuple(layers(node for node in products if _is_float(node.inputs[1])))
        if quantised
        else (),
        float_tables=sum(size for size in sizes if size >= 4 * smallest.smallest_table) if quantised else 0,
        saturating=_saturating(model),
        equal_weights=_equal_weights(graph, state),
    )


def precision_of(model: ir.Model) -> PrecisionName:
    """Return the precision whose limits suit a graph: that of its activations if they are quantised, else its weights'.

    A graph that quantises activations is judged as "int8-rows", whose answers must not depend on the batch.
    """
    graph = model.graph
    nodes = list(graph)
    if any(node.op_type in _ACTIVATIONS for node in nodes):
        return "int8-rows"
    blocks = [node for node in nodes if node.op_type in _BLOCKS]
    stored = {
        value.dtype for node in nodes if node.op_type == "DequantizeLinear" for value in node.inputs if value
    }
    if any(node.attributes.get_int("bits", 4) < 8 for node in blocks) or stored & _NIBBLES:
        return "w4"
    if blocks or stored:
        return "w8"
    return "fp16" if has_half_floats(graph) else "fp32"


def _is_float(value: ir.Value | None) -> bool:
    return value is not None and value.dtype in (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16)


def _saturating(model: ir.Model) -> tuple[str, ...]:
    """Return the names of int8 weights beyond 7 bits, if activations are quantised too."""
    if not any(node.op_type in _ACTIVATIONS for node in model.graph):
        return ()
    found = []
    for name, value in model.graph.initializers.items():
        shape = constant_shape(value)
        if value.dtype != ir.DataType.INT8 or shape is None or len(shape) < 2 or lookups(value):
            continue
        array = constant(value)
        if array is not None and np.abs(array.astype(np.int16)).max(initial=0) > _SAFE_WEIGHT:
            found.append(name)
    return tuple(found)


def _equal_weights(graph: ir.Graph, state: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return how many of the graph's large float32 matrices are in `state`, as they are or transposed, and how many
    there are."""
    known = set()
    for tensor in state.values():
        array = tensor.detach().cpu().numpy()
        if array.ndim == 2 and array.dtype == np.float32:
            known |= {_print(array), _print(array.T)}
    found = [
        array
        for value in graph.initializers.values()
        if value.dtype == ir.DataType.FLOAT and len(constant_shape(value) or ()) == 2
        if (array := constant(value)) is not None and array.size >= PassSettings().smallest
    ]
    return (sum(_print(array) in known for array in found), len(found)) if found else None


def _print(array: Any) -> tuple[Any, ...]:
    return (array.shape, hash(np.ascontiguousarray(array).tobytes()))
