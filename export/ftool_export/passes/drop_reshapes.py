"""Drop chains of Reshape nodes that end in the shape with which they start.

Such chains arise because an architecture splits the width of its attention into heads, but the fused attention operator
takes the heads joined, so the heads are joined again. A Reshape never moves data, so the nodes that read a chain's
result can read the chain's input instead.
"""

import onnx_ir as ir

from ftool_export.passes.matching import clean


class DropReshapes(ir.passes.InPlacePass):
    """Replace the result of every chain of Reshape nodes by the chain's input, if both have the same shape."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite `model` in place; the result says whether anything was modified."""
        modified = False
        for node in list(model.graph):
            start = _same_shape_upstream(node) if node.op_type == "Reshape" else None
            if start is None or node.outputs[0].is_graph_output():
                continue
            ir.convenience.replace_all_uses_with(node.outputs[0], start)
            modified = True
        if modified:
            clean(model)
        return ir.passes.PassResult(model, modified)


def _same_shape_upstream(node: ir.Node) -> ir.Value | None:
    """Return the earliest value in the chain of Reshapes up to `node` with the shape of `node`'s result, or None."""
    shape, found = node.outputs[0].shape, None
    step: ir.Node | None = node
    while step is not None and step.op_type == "Reshape":
        value = step.inputs[0]
        assert value is not None
        if _surely_equal(value.shape, shape):
            found = value
        step = value.producer()
    return found


def _surely_equal(left: ir.Shape | None, right: ir.Shape | None) -> bool:
    """Return whether two shapes are known to be equal: each axis has the same size or symbol in both."""
    if left is None or right is None or len(left) != len(right):
        return False
    return all(
        a == b and (isinstance(a, int) or a.value is not None) for a, b in zip(left, right, strict=True)
    )
