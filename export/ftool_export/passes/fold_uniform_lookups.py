"""Replace each table lookup whose indices are all the same constant by the row that this index selects.

If token types are not an input of a network, the network creates types of 0 for all tokens, with several nodes, and
looks them up in a table. The lookup gives the same row for every token, so the row can be added directly.
"""

from typing import Any, Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ftool_export.passes.matching import clean, constant, initializer, only_consumer

# Every element of these operators' outputs is an element of their first input.
_REARRANGING: Final = frozenset({"Expand", "GatherElements", "Reshape", "Slice", "Unsqueeze"})


class FoldUniformLookups(ir.passes.InPlacePass):
    """Replace a lookup of one row by this row, if the lookup's result is only added to a tensor of the same shape."""

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
    """Return the row, (width,), that all indices of `gather` select; None if the indices differ or are unknown."""
    table, index = constant(gather.inputs[0]), _uniform(gather.inputs[1])
    if table is None or table.ndim != 2 or index is None or gather.attributes.get_int("axis", 0) != 0:
        return None
    row: NDArray[Any] = table[index]
    return row


def _uniform(value: ir.Value | None) -> int | None:
    """Return the number that all elements of `value` equal; None if the elements differ or are unknown."""
    while value is not None and (producer := value.producer()) is not None:
        if producer.op_type not in _REARRANGING:
            return None
        value = producer.inputs[0]
    array = constant(value)
    if array is None or array.size == 0 or np.any(array != array.flat[0]):
        return None
    return int(array.flat[0])


def _is_added(gather: ir.Node) -> bool:
    """Return whether only an Add reads the lookup's result, and adds it to a tensor of the same shape.

    If so, the Add can broadcast a single row instead.
    """
    result = gather.outputs[0]
    add = only_consumer(result)
    if add is None or add.op_type != "Add" or result.shape is None:
        return False
    other = add.inputs[0] if add.inputs[1] is result else add.inputs[1]
    return other is not None and other.shape is not None and list(other.shape) == list(result.shape)
