"""Compute an attention's query, key and value with one matrix product instead of three.

The three products read the same input, so their weights can be joined side by side. The wider product quantises the
input once instead of three times, and uses more cores. A Split divides the result into query, key and value. If the
query is computed only for the pooled token (`PooledTokenOnly`), key and value are packed without it.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir

from ftool_export.passes.matching import (
    LAYER,
    clean,
    constant,
    constant_shape,
    following_bias,
    initializer,
    layer_of,
    only_consumer,
)

_ATTENTIONS: Final = frozenset({"MultiHeadAttention", "GroupQueryAttention"})


@dataclass(frozen=True, slots=True)
class _Projection:
    matmul: ir.Node
    bias: ir.Value | None
    result: ir.Value


class PackQKV(ir.passes.InPlacePass):
    """Pack the products of every attention operator whose key, value and, if possible, query have the same input."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite `model` in place; the result says whether anything was modified."""
        packed: dict[tuple[ir.Value, ...], ir.Value] = {}  # weights shared between layers are packed once
        modified = False
        for node in list(model.graph):
            projections = _projections(node) if node.op_type in _ATTENTIONS else None
            if projections is None:
                continue
            _pack(model.graph, node, projections, packed)
            modified = True
        if modified:
            clean(model)
        return ir.passes.PassResult(model, modified)


def _projections(attention: ir.Node) -> list[_Projection] | None:
    """Return the projections to pack: query, key and value, or key and value; None if nothing can be packed."""
    found = [_projection(_projected(value)) for value in attention.inputs[:3]]
    known = [projection for projection in found if projection is not None]
    if len(known) < 3 or len({id(p.matmul) for p in known}) < 3:
        return None
    query, key, _ = known
    if _reads_one_token_of(query, key):
        known = known[1:]
    one_source = len({id(p.matmul.inputs[0]) for p in known}) == 1
    one_form = len({p.bias is None for p in known}) == 1
    return known if one_source and one_form else None


def _reads_one_token_of(query: _Projection, key: _Projection) -> bool:
    """Return whether the query is computed from one token of the input from which the key is computed."""
    source = query.matmul.inputs[0]
    selection = source.producer() if source is not None else None
    return (
        selection is not None
        and selection.op_type == "Gather"
        and selection.inputs[0] is key.matmul.inputs[0]
    )


def _projected(value: ir.Value | None) -> ir.Value | None:
    """Return the value that a rotation, or a selection of tokens, has made `value` of; `value` itself without one."""
    last = value.producer() if value is not None else None
    return last.inputs[0] if last is not None and last.op_type in ("RotaryEmbedding", "Gather") else value


def _projection(value: ir.Value | None) -> _Projection | None:
    if value is None or only_consumer(value) is None:
        return None
    last = value.producer()
    if last is not None and last.op_type == "Add":
        for candidate in last.inputs:
            matmul = candidate.producer() if candidate is not None else None
            biased = following_bias(matmul) if matmul is not None and _is_linear(matmul) else None
            if matmul is not None and biased is not None and biased[0] is last:
                return _Projection(matmul, biased[1], value)
    return _Projection(last, None, value) if last is not None and _is_linear(last) else None


def _is_linear(node: ir.Node) -> bool:
    shape = constant_shape(node.inputs[1]) if node.op_type == "MatMul" else None
    return shape is not None and len(shape) == 2


def _pack(
    graph: ir.Graph,
    attention: ir.Node,
    projections: list[_Projection],
    packed: dict[tuple[ir.Value, ...], ir.Value],
) -> None:
    layer = _joint_name([layer_of(p.matmul) for p in projections])
    notes = {LAYER: layer}
    source = projections[0].matmul.inputs[0]
    weight = _joined(graph, [p.matmul.inputs[1] for p in projections], f"{layer}.weight", packed)
    matmul = ir.node("MatMul", [source, weight], name=f"{layer}/MatMul", metadata_props=notes)
    nodes = [matmul]
    _describe(matmul.outputs[0], projections, f"{attention.name}.packed")
    if projections[0].bias is not None:
        bias = _joined(graph, [p.bias for p in projections], f"{layer}.bias", packed)
        nodes.append(
            ir.node("Add", [matmul.outputs[0], bias], name=f"{layer}/Add", metadata_props=dict(notes))
        )
        _describe(nodes[-1].outputs[0], projections, f"{attention.name}.packed.biased")
    split = ir.node(
        "Split",
        [nodes[-1].outputs[0], _sizes(graph, projections)],
        {"axis": -1},
        num_outputs=len(projections),
    )
    split.name = f"{layer}/Split"
    for output, projection in zip(split.outputs, projections, strict=True):
        output.name, output.shape, output.type = (
            f"{projection.result.name}.part",
            projection.result.shape,
            projection.result.type,
        )
    first = min((p.matmul for p in projections), key=graph.index)
    graph.insert_before(first, [*nodes, split])
    ir.convenience.replace_all_uses_with([p.result for p in projections], split.outputs)


def _joint_name(names: list[str]) -> str:
    """Return a joint name for layers: `self.query`, `self.key` and `self.value` become `self.query+key+value`."""
    parents = {name.rpartition(".")[0] for name in names}
    if len(parents) > 1:
        return "+".join(names)
    parent = parents.pop()
    joined = "+".join(dict.fromkeys(name.rpartition(".")[2] for name in names))
    return f"{parent}.{joined}" if parent else joined


def _joined(
    graph: ir.Graph, parts: list[ir.Value | None], name: str, packed: dict[tuple[ir.Value, ...], ir.Value]
) -> ir.Value:
    key = tuple(part for part in parts if part is not None)
    if key not in packed:
        arrays = [array for array in map(constant, key) if array is not None]
        assert len(arrays) == len(key)
        packed[key] = initializer(graph, name, np.concatenate(arrays, axis=-1))
    return packed[key]


def _sizes(graph: ir.Graph, projections: list[_Projection]) -> ir.Value:
    widths = [shape[1] for p in projections if (shape := constant_shape(p.matmul.inputs[1])) is not None]
    name = "split." + "+".join(map(str, widths))
    return graph.initializers.get(name) or initializer(graph, name, np.array(widths, dtype=np.int64))


def _describe(value: ir.Value, projections: list[_Projection], name: str) -> None:
    shape = projections[0].result.shape
    width = sum(size[1] for p in projections if (size := constant_shape(p.matmul.inputs[1])) is not None)
    value.name, value.dtype = name, ir.DataType.FLOAT
    value.shape = ir.Shape([*shape[:-1], width]) if shape is not None else None
