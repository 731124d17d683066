"""Replace each Transpose of a constant by the transposed constant.

PyTorch stores a linear layer's weight as (outputs, inputs). The exporter folds the Transpose of a weight that only one
node reads, but not of a shared weight (ALBERT's layers, tied heads), and quantisation would miss products with shared
weights. The transposed constant is a view of the weight, so it needs no memory.
"""

from typing import Final

import onnx_ir as ir
from onnxscript import optimizer

from ftool_export.passes.matching import clean

_NO_LIMIT: Final = 2**62  # elements


class FoldTransposes(ir.passes.InPlacePass):
    """Run onnxscript's constant folding on Transpose nodes only, for constants of any size."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite `model` in place; the result says whether anything was modified."""
        folded = optimizer.fold_constants(
            model,
            onnx_shape_inference=False,
            input_size_limit=_NO_LIMIT,
            output_size_limit=_NO_LIMIT,
            should_fold=lambda node: node.op_type == "Transpose",
        )
        if folded.modified:
            clean(model)
        return ir.passes.PassResult(model, folded.modified)
