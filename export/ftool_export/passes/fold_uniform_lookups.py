"""Fold table lookups whose every index is the same constant: they give one row, over and over.

Without token types as an input, a network makes zeros of its own in the input's shape, with a handful of nodes, and
looks each of them up. The row can be added as it is.
"""

from typing import Final

import numpy as np
import onnx_ir as ir

from ftool_export.passes import PassResult, PassSettings
from ftool_export.passes.matching import clean, constant, initializer, only_consumer

# What these give holds no element that their first input does not.
_REARRANGING: Final = frozenset({"Expand", "GatherElements", "Reshape", "Slice", "Unsqueeze"})


def apply(model: ir.Model, settings: PassSettings) -> PassResult:  # noqa: ARG001
    """Add the row itself where a lookup of one row is added to something of the lookup's full shape."""
    changed = 0
    for node in list(model.graph):
        row = _only_row(node) if node.op_type == "Gather" else None
        if row is None or not _is_added(node):
            continue
        folded = initializer(model.graph, f"{node.name}.row", row)
        ir.convenience.replace_all_uses_with(node.outputs[0], folded)
        changed += 1
    if changed:
        clean(model)
    return PassResult(model, changed)


def _only_row(gather: ir.Node) -> np.ndarray | None:
    table, index = constant(gather.inputs[0]), _uniform(gather.inputs[1])
    if table is None or table.ndim != 2 or index is None or gather.attributes.get_int("axis", 0) != 0:
        return None
    row: np.ndarray = table[index]
    return row


def _uniform(value: ir.Value | None) -> int | None:
    """The number that every element of `value` is; None where that is not certain."""
    while value is not None and (producer := value.producer()) is not None:
        if producer.op_type not in _REARRANGING:
            return None
        value = producer.inputs[0]
    array = constant(value)
    if array is None or array.size == 0 or (array != array.flat[0]).any():
        return None
    return int(array.flat[0])


def _is_added(gather: ir.Node) -> bool:
    """Whether broadcasting one row gives what adding the lookup gave."""
    result = gather.outputs[0]
    add = only_consumer(result)
    if add is None or add.op_type != "Add" or result.shape is None:
        return False
    other = add.inputs[0] if add.inputs[1] is result else add.inputs[1]
    return other is not None and other.shape is not None and list(other.shape) == list(result.shape)
