"""Name nodes and weights after the PyTorch modules to which they belong, and drop the exporter's metadata.

The metadata contains stack traces with file paths of the machine that ran the export. `PassSettings.left_out` refers to
layers by the names of their modules.
"""

import ast
from collections import Counter
from typing import Final

import onnx_ir as ir

from ftool_export.passes.matching import LAYER, constant_matmuls, layer_of

# The key in a node's metadata under which torch stores a Python list as text: outermost module first, operation last.
_SCOPES: Final = "pkg.torch.onnx.name_scopes"


class NameLayers(ir.passes.InPlacePass):
    """Rename every node to `layer/operator`, and constant weights of MatMul with generated names to `layer.weight`."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite `model` in place; the result says whether anything was modified."""
        modified = any(_SCOPES in node.metadata_props for node in model.graph)
        _clear_metadata(model)
        _name_nodes(model)
        _name_weights(model)
        return ir.passes.PassResult(model, modified)


def _clear_metadata(model: ir.Model) -> None:
    """Drop the metadata of the model, the graph, its inputs and its initializers; keep the metadata of nodes."""
    model.metadata_props.clear()
    model.graph.metadata_props.clear()
    for value in [*model.graph.inputs, *model.graph.initializers.values()]:
        value.metadata_props.clear()


def _name_nodes(model: ir.Model) -> None:
    counts = Counter[str]()
    for node in model.graph:
        layer = _innermost_module(node.metadata_props.get(_SCOPES))
        _forget(node)
        if layer:
            node.metadata_props[LAYER] = layer
        name = f"{layer}/{node.op_type}" if layer else node.op_type
        counts[name] += 1
        node.name = name if counts[name] == 1 else f"{name}_{counts[name]}"


def _innermost_module(scopes: str | None) -> str | None:
    if scopes is None:
        return None
    modules = [name for name in ast.literal_eval(scopes)[:-1] if name and not name.startswith("_empty")]
    return str(modules[-1]) if modules else None


def _forget(node: ir.Node) -> None:
    node.metadata_props.clear()
    node.doc_string = None
    for output in node.outputs:
        output.metadata_props.clear()


def _name_weights(model: ir.Model) -> None:
    for node in constant_matmuls(model):
        weight = node.inputs[1]
        name = f"{layer_of(node)}.weight"
        if (
            weight is not None
            and weight.name
            and weight.name.startswith("val_")
            and name not in model.graph.initializers
        ):
            del model.graph.initializers[weight.name]
            weight.name = name
            model.graph.register_initializer(weight)
