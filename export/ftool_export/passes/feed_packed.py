"""Feed GroupQueryAttention with the packed tensor from which its query, key and value were split.

The operator also accepts query, key and value side by side in one tensor. The Split, and the copy that it makes, are
then unnecessary.
"""

import onnx_ir as ir

from ftool_export.passes.matching import clean, only_consumer


class FeedPacked(ir.passes.InPlacePass):
    """Replace a GroupQueryAttention's query, key and value, if one Split produces all three, by the Split's input."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite `model` in place; the result says whether anything was modified."""
        modified = False
        for node in list(model.graph):
            packed = _packed(node) if node.op_type == "GroupQueryAttention" else None
            if packed is None:
                continue
            node.replace_input_with(0, packed)
            node.replace_input_with(1, None)
            node.replace_input_with(2, None)
            modified = True
        if modified:
            clean(model)
        return ir.passes.PassResult(model, modified)


def _packed(attention: ir.Node) -> ir.Value | None:
    """Return the input of the Split that produces `attention`'s query, key and value, or None without such a Split."""
    parts = attention.inputs[:3]
    split = parts[0].producer() if parts[0] is not None else None
    if split is None or split.op_type != "Split" or list(split.outputs) != list(parts):
        return None
    if any(only_consumer(part) is not attention for part in split.outputs):
        return None
    rank = 3  # (batch, sequence, width)
    return split.inputs[0] if split.attributes.get_int("axis", 0) in (-1, rank - 1) else None
