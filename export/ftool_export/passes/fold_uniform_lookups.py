"""Replace table lookups in which all indices are the same constant by the row that they select.

A network without token types as an input creates zeros in the input's shape, with several nodes, and looks each of them
up. Every lookup gives the same row, which can be added directly.
"""

from typing import Any, Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ftool_export.passes.matching import clean, constant, initializer, only_consumer

# Every element of these operators' outputs is an element of their first input.
_REARRANGING: Final = frozenset({"Expand", "GatherElements", "Reshape", "Slice", "Unsqueeze"})


class FoldUniformLookups(ir.passes.InPlacePass):
    """Replace a lookup of one single row by the row itself, if it is only added to a tensor of the lookup's shape."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite `model` in place; the result says whether anything was modified."""
        modified = False
        for node in list(model.graph):
            row = _only_row(node) if node.op_type == "Gather" else None
            if row is None or not _is_added(node):
                continue
            folded = initializer(model.graph, f"{node.name}.row", row)
            ir.convenience.replace_all_uses_with(node.outputs[0], folded)
            modified = True
        if modified:
            clean(model)
        return ir.passes.PassResult(model, modified)


def _only_row(gather: ir.Node) -> NDArray[Any] | None:
    """Return the row, (width,), that every index of `gather` selects; None if they differ or are unknown."""
    table, index = constant(gather.inputs[0]), _uniform(gather.inputs[1])
    if table is None or table.ndim != 2 or index is None or gather.attributes.get_int("axis", 0) != 0:
        return None
    row: NDArray[Any] = table[index]
    return row


def _uniform(value: ir.Value | None) -> int | None:
    """Return the number that every element of `value` equals; None if they differ or are unknown."""
    while value is not None and (producer := value.producer()) is not None:
        if producer.op_type not in _REARRANGING:
            return None
        value = producer.inputs[0]
    array = constant(value)
    if array is None or array.size == 0 or np.any(array != array.flat[0]):
        return None
    return int(array.flat[0])


def _is_added(gather: ir.Node) -> bool:
    """Return whether the lookup's only reader is an Add whose result is the same if one row is broadcast."""
    result = gather.outputs[0]
    add = only_consumer(result)
    if add is None or add.op_type != "Add" or result.shape is None:
        return False
    other = add.inputs[0] if add.inputs[1] is result else add.inputs[1]
    return other is not None and other.shape is not None and list(other.shape) == list(result.shape)
