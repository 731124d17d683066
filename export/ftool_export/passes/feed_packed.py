"""Hand GroupQueryAttention query, key and value as the one tensor that they were cut from.

The operator takes them side by side as well as apart; apart they have been copied once more, by Split.
"""

import onnx_ir as ir

from ftool_export.passes import PassResult, PassSettings
from ftool_export.passes.matching import clean, only_consumer


def apply(model: ir.Model, settings: PassSettings) -> PassResult:  # noqa: ARG001
    """Feed every GroupQueryAttention whose three come from one Split, in order, what that Split reads."""
    changed = 0
    for node in list(model.graph):
        packed = _packed(node) if node.op_type == "GroupQueryAttention" else None
        if packed is None:
            continue
        node.replace_input_with(0, packed)
        node.replace_input_with(1, None)
        node.replace_input_with(2, None)
        changed += 1
    if changed:
        clean(model)
    return PassResult(model, changed)


def _packed(attention: ir.Node) -> ir.Value | None:
    parts = attention.inputs[:3]
    split = parts[0].producer() if parts[0] is not None else None
    if split is None or split.op_type != "Split" or list(split.outputs) != list(parts):
        return None
    if any(only_consumer(part) is not attention for part in split.outputs):
        return None
    rank = 3  # (batch, sequence, width)
    return split.inputs[0] if split.attributes.get_int("axis", 0) in (-1, rank - 1) else None
