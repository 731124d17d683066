"""Drop chains of Reshape that restore the shape they started from.

Attention splits its width into heads; the fused operator takes them joined, so they are joined again at once. Such a
chain of reshapes ends in the shape of its input, and reshaping never moves data, so readers can use the input itself.
"""

import onnx_ir as ir

from ftool_export.passes.matching import clean


class DropReshapes(ir.passes.InPlacePass):
    """Replace the result of every chain of reshapes that restores a shape by the chain's input."""

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
    """Return the furthest value up the chain of reshapes that has the shape of `node`'s result; None if none has."""
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
    """Return whether two shapes are known to be equal: same sizes, same symbols, nothing unknown."""
    if left is None or right is None or len(left) != len(right):
        return False
    return all(
        a == b and (isinstance(a, int) or a.value is not None) for a, b in zip(left, right, strict=True)
    )
