"""Remove the attention mask from a graph whose rows run singly, and so without padding.

The mask of a row without padding has only ones, and adding it to attention scores changes nothing. Without a mask ONNX
Runtime's `MultiHeadAttention` computes attention in blocks that stay in the cache (Dao et al. 2022, FlashAttention),
which is faster for long texts (docs/performance.md).
"""

from typing import Final

import numpy as np
import onnx_ir as ir

from ftool_export.passes import MICROSOFT
from ftool_export.passes.matching import clean

MASK: Final = "attention_mask"  # the name of the graph's input
_IDS: Final = "input_ids"  # an input of the same shape
_PADDING: Final = 4  # index of MultiHeadAttention's input for the mask


class DropMask(ir.passes.InPlacePass):
    """Remove the input `attention_mask`: attention operators get no mask, and other readers get ones."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite `model` in place; the result says whether anything was modified."""
        inputs = {value.name: value for value in model.graph.inputs}
        mask = inputs.get(MASK)
        if mask is None:
            return ir.passes.PassResult(model, modified=False)
        for node in model.graph:
            if node.op_type == "MultiHeadAttention" and node.domain == MICROSOFT and _masked_by(node, mask):
                node.replace_input_with(_PADDING, None)
        _replace_by_ones(model.graph, mask, inputs[_IDS])
        model.graph.inputs.remove(mask)
        clean(model)
        return ir.passes.PassResult(model, modified=True)


def _masked_by(attention: ir.Node, mask: ir.Value) -> bool:
    """Return whether the operator's mask is `mask` itself, whatever the type it was cast to."""
    value = attention.inputs[_PADDING] if len(attention.inputs) > _PADDING else None
    while value is not None and (node := value.producer()) is not None and node.op_type == "Cast":
        value = node.inputs[0]
    return value is mask


def _replace_by_ones(graph: ir.Graph, mask: ir.Value, ids: ir.Value) -> None:
    """Let the readers of the mask read ones in the shape of `ids`, and those of its shape the shape of `ids`."""
    for node, index in list(mask.uses()):
        if node.op_type == "Shape":
            node.replace_input_with(index, ids)
    shape = ir.node("Shape", [ids], name=f"{MASK}.shape")
    value = ir.tensor(np.array([1], dtype=np.int64))
    ones = ir.node("ConstantOfShape", [shape.outputs[0]], {"value": value}, name=f"{MASK}.ones")
    graph.insert_before(graph[0], [shape, ones])
    ir.convenience.replace_all_uses_with(mask, ones.outputs[0])
