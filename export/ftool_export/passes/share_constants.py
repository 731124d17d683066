"""Keep one copy of constants that are equal.

Layers that share their weights (ALBERT's all do) use one tensor in PyTorch, but every use is transposed on its own.
"""

import hashlib

import onnx_ir as ir

from ftool_export.passes import PassResult, PassSettings
from ftool_export.passes.matching import constant


def apply(model: ir.Model, settings: PassSettings) -> PassResult:  # noqa: ARG001
    """Let the readers of equal initializers read the first of them."""
    first: dict[tuple[object, ...], ir.Value] = {}
    changed = 0
    for name, value in list(model.graph.initializers.items()):
        array = constant(value)
        if array is None or value.is_graph_output():
            continue
        digest = hashlib.sha256(array.tobytes()).digest()
        kept = first.setdefault((array.dtype, array.shape, digest), value)
        if kept is not value:
            ir.convenience.replace_all_uses_with(value, kept)
            del model.graph.initializers[name]
            changed += 1
    return PassResult(model, changed)
