"""Drop reshapes that cancel out.

Attention splits its width into heads and, once the operator is emitted, joins them again at once: a Reshape of a
Reshape whose result has the first one's input shape. Reshaping never moves data, so such a chain is its own input.
"""

import onnx_ir as ir

from ftool_export.passes import PassResult, PassSettings
from ftool_export.passes.matching import clean


def apply(model: ir.Model, settings: PassSettings) -> PassResult:  # noqa: ARG001
    """Read the start of every chain of reshapes that ends in the shape it began with."""
    changed = 0
    for node in list(model.graph):
        start = _same_shape_upstream(node) if node.op_type == "Reshape" else None
        if start is None or node.outputs[0].is_graph_output():
            continue
        ir.convenience.replace_all_uses_with(node.outputs[0], start)
        changed += 1
    if changed:
        clean(model)
    return PassResult(model, changed)


def _same_shape_upstream(node: ir.Node) -> ir.Value | None:
    """The furthest value that the chain of reshapes ending in `node` started from with the shape it ends in."""
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
    """Whether two shapes are known to be the same: equal sizes, equal symbols, nothing unknown."""
    if left is None or right is None or len(left) != len(right):
        return False
    return all(
        a == b and (isinstance(a, int) or a.value is not None) for a, b in zip(left, right, strict=True)
    )
