"""Compute attention without a mask by ONNX's own `Attention` instead of ONNX Runtime's `MultiHeadAttention`.

In onnxruntime 1.32 the standard operator's CPU kernel is faster for short rows, and slower for long ones: it does not
compute in blocks. Whole int8 graphs of six layers on one thread: as fast at 13 and 32 tokens, 1.03 to 1.04 times as
fast at 64 to 256, and 0.98 at 512 (docs/performance.md).
"""

from typing import Any, Final

import onnx_ir as ir

from ftool_export.passes import MICROSOFT
from ftool_export.passes.matching import clean

LONGEST: Final = 256  # tokens of the longest row for which the operator is worth it
_FIRST_OPSET: Final = 23  # of ONNX, that has Attention
_BIAS: Final = 3  # index of the first of MultiHeadAttention's inputs after query, key and value


class StandardAttention(ir.passes.InPlacePass):
    """Replace every `MultiHeadAttention` that has only a query, a key and a value."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite `model` in place; the result says whether anything was modified."""
        found = [node for node in model.graph if _is_plain(node)]
        for node in found:
            attention = ir.node("Attention", node.inputs[:_BIAS], _attributes(node), name=node.name)
            attention.metadata_props.update(node.metadata_props)
            ir.convenience.replace_nodes_and_values(
                model.graph, node, [node], [attention], node.outputs, attention.outputs
            )
        if found:
            model.graph.opset_imports[""] = max(model.graph.opset_imports[""], _FIRST_OPSET)
            clean(model)
        return ir.passes.PassResult(model, bool(found))


def _is_plain(node: ir.Node) -> bool:
    """Return whether a node is attention between all tokens: without a mask, a bias, caches or a causal order."""
    if node.op_type != "MultiHeadAttention" or node.domain != MICROSOFT or len(node.outputs) > 1:
        return False
    given = all(value is not None for value in node.inputs[:_BIAS]) and len(node.inputs) >= _BIAS
    return given and not any(node.inputs[_BIAS:]) and not node.attributes.get_int("unidirectional", 0)


def _attributes(node: ir.Node) -> dict[str, Any]:
    heads = node.attributes.get_int("num_heads", 0)
    scale = node.attributes.get_float(
        "scale", 0.0
    )  # 0 is the operator's default, as in Attention without a scale
    return {"q_num_heads": heads, "kv_num_heads": heads, **({"scale": scale} if scale else {})}
