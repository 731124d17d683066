"""Give an encoder's graph the names that optimum, sentence-transformers and transformers.js read.

Their exporters call the axes of a text `batch_size` and `sequence_length`. They read the tensors that an output is made
of, such as `last_hidden_state`, by their names, and fastembed takes the first output, so the output comes last.
"""

from collections.abc import Iterable
from typing import Final

import onnx_ir as ir

from ftool_export.capture.torch_export import BATCH, OUTPUT, SEQUENCE

AXES: Final = {BATCH: "batch_size", SEQUENCE: "sequence_length"}


class StandardNames(ir.passes.InPlacePass):
    """Rename the axes of inputs and outputs, rename the graph's output, and put it after the parts it is made of."""

    def __init__(self, output_name: str) -> None:
        """`output_name` is the name of the output for other libraries, such as "sentence_embedding"."""
        super().__init__()
        self.output_name = output_name

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite `model` in place; the result says whether anything was modified."""
        graph = model.graph
        modified = rename_axes([*graph.inputs, *graph.outputs], AXES)
        first = graph.outputs[0]
        if first.name == OUTPUT and len(graph.outputs) > 1:
            del graph.outputs[0]
            graph.outputs.append(first)
            modified = True
        if first.name == OUTPUT != self.output_name:
            first.name = self.output_name
            modified = True
        return ir.passes.PassResult(model, modified)


def rename_axes(values: Iterable[ir.Value], names: dict[str, str]) -> bool:
    """Rename the dynamic axes of `values`, in place; `names` has the new names by the old. Return whether any was."""
    modified = False
    for value in values:
        if value.shape is None:
            continue
        sizes = [size if isinstance(size, int) else size.value for size in value.shape]
        renamed = [names.get(size, size) if isinstance(size, str) else size for size in sizes]
        if renamed != sizes:
            value.shape = ir.Shape(renamed)
            modified = True
    return modified
