"""Rewrite residual additions before layer norms as Sum, so that ONNX Runtime does not fuse additions and norms.

ONNX Runtime would fuse Add and LayerNormalization to SkipLayerNormalization, whose CPU kernel is slower than the two
separate operators: 37 µs against 16 µs for 14 tokens of width 384 on one Zen 3 core, 10 to 16% of an int8 graph's time.
A Sum of two inputs is the same addition, and no fusion matches it. On a GPU the fused kernel is faster, so the pass
changes nothing in graphs for GPUs.
"""

import onnx_ir as ir

from ftool_export.passes import PassSettings


class ResidualSums(ir.passes.InPlacePass):
    """In graphs for the CPU, turn every Add whose result a LayerNormalization reads into a Sum."""

    def __init__(self, settings: PassSettings) -> None:
        super().__init__()
        self.device = settings.device

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite `model` in place; the result says whether anything was modified."""
        modified = False
        for node in model.graph if self.device == "cpu" else ():
            if node.op_type == "Add" and node.domain == "" and _is_normalized(node.outputs[0]):
                node.op_type = "Sum"
                modified = True
        return ir.passes.PassResult(model, modified)


def _is_normalized(value: ir.Value) -> bool:
    return any(
        use.node.op_type == "LayerNormalization" and use.node.inputs[0] is value for use in value.uses()
    )
