"""Fold the Transpose of a constant into the constant.

PyTorch keeps a linear layer's weight as (outputs, inputs) and the exporter folds only small ones; a large or a tied
weight arrives as Transpose(initializer), and quantisation would pass it by.
"""

import numpy as np
import onnx_ir as ir

from ftool_export.passes import PassResult, PassSettings
from ftool_export.passes.matching import clean, constant, initializer


def apply(model: ir.Model, settings: PassSettings) -> PassResult:  # noqa: ARG001
    """Replace every Transpose(initializer) by an initializer of its own."""
    changed = 0
    for node in list(model.graph):
        array = constant(node.inputs[0]) if node.op_type == "Transpose" else None
        if array is None:
            continue
        order = node.attributes.get_ints("perm", None)
        source = node.inputs[0]
        assert source is not None
        folded = initializer(model.graph, f"{source.name}.transposed", np.transpose(array, order))
        ir.convenience.replace_all_uses_with(node.outputs[0], folded, replace_graph_outputs=True)
        changed += 1
    if changed:
        clean(model)
    return PassResult(model, changed)
