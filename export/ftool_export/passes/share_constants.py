"""Replace initializers with equal content by the first of them.

Layers that share weights, such as all layers of ALBERT, use one tensor in PyTorch, but the exporter may transpose the
tensor once per use. onnx_ir's DeduplicateHashedInitializersPass (1.1) has the same purpose as this pass but fails on
the transposed views that the exporter makes of large weights ("ndarray is not C-contiguous"). Copying all views first
would need the memory of a second model.
"""

import hashlib

import onnx_ir as ir

from ftool_export.passes.matching import constant


class ShareConstants(ir.passes.InPlacePass):
    """Keep only the first of all initializers with equal dtype, shape and bytes.

    To compare initializers, the pass copies one tensor at a time.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite `model` in place; the result says whether anything was modified."""
        first: dict[tuple[object, ...], ir.Value] = {}
        modified = False
        for name, value in list(model.graph.initializers.items()):
            array = constant(value)
            if array is None or value.is_graph_output():
                continue
            digest = hashlib.sha256(array.tobytes()).digest()
            kept = first.setdefault((array.dtype, array.shape, digest), value)
            if kept is not value:
                ir.convenience.replace_all_uses_with(value, kept)
                del model.graph.initializers[name]
                modified = True
        return ir.passes.PassResult(model, modified)
