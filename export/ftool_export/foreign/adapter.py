"""Read an ONNX graph that another tool exported, and give it the inputs and the output that a bundle's graph has."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import onnx_ir as ir
from google.protobuf.message import DecodeError

from ftool_export.capture.torch_export import BATCH, OUTPUT, SEQUENCE, GraphContract
from ftool_export.checkpoints.encoder import LoadedEncoder
from ftool_export.errors import ExportError
from ftool_export.networks.embedder import SentenceEmbedder, Truncation, UnitLength
from ftool_export.passes.matching import clean, initializer

_NAMES: Final[Mapping[str, str]] = (
    MappingProxyType(  # a bundle's name of an input, by the names that tools give it
        {
            "input_ids": "input_ids",
            "attention_mask": "attention_mask",
            "input_mask": "attention_mask",
            "token_type_ids": "token_type_ids",
            "segment_ids": "token_type_ids",
        }
    )
)
_ORDER: Final = ("input_ids", "attention_mask", "token_type_ids")
_INTEGERS: Final = (ir.DataType.INT64, ir.DataType.INT32)
_HIDDEN: Final = ("last_hidden_state", "token_embeddings")  # float (batch, sequence, width)
_POOLED: Final = "sentence_embedding"  # float (batch, width)
_SPANS: Final = ("start_logits", "end_logits")  # each float (batch, sequence)
_AXES_AS_INPUTS: Final = 13  # the first opset in which Unsqueeze and ReduceSum take their axes as inputs


def read_graph(path: Path) -> ir.Model:
    """Return the graph in an ONNX file, with weights in a file beside it. Raises ExportError if it can't be read."""
    if not path.is_file():
        raise ExportError(f"{path} is not a file; name an ONNX file, such as model.onnx")
    try:
        model = ir.load(path)
        for value in model.graph.initializers.values():
            if value.const_value is not None:
                value.const_value.numpy()  # opens the file that holds the weights
        ir.to_proto(model)  # fails for names that are not text, which reading accepts
    except OSError as error:
        raise ExportError(
            f"{path}: its weights can't be read ({error}); copy them beside the file"
        ) from error
    except (
        DecodeError,
        RuntimeError,
        TypeError,
        ValueError,
        KeyError,
    ) as error:  # onnx_ir's is a RuntimeError
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        raise ExportError(f"{path} is not an ONNX file, or is damaged: {cause}") from error
    return model


def adapt(model: ir.Model, loaded: LoadedEncoder) -> GraphContract:
    """Give a graph, in place, a bundle's inputs and output, and return the contract that it then keeps.

    Inputs become int64 (batch, sequence) with a bundle's names. The output "logits" is float32 (batch, width) or
    (batch, sequence, width), as from `loaded.model`: start and end logits are stacked, and the token vectors of an
    embedder are pooled as in sentence-transformers. Nothing else changes.

    Raises:
        ExportError: an input is missing, or is none that the checkpoint's tokenizer makes; an axis is fixed; or no
            output is the checkpoint's.
    """
    graph = model.graph
    inputs = _inputs(graph, loaded)
    for name in _ORDER:
        if name in inputs:
            _replace_input(graph, name, inputs[name])
    _sort_inputs(graph)
    output = _output(model, loaded)
    _check_width(output, loaded)
    graph.outputs[:] = [_as_float(graph, output)]
    logits = graph.outputs[0]
    logits.name = OUTPUT
    leading = (BATCH, SEQUENCE) if loaded.model.per_token else (BATCH,)
    logits.shape = ir.Shape([*leading, loaded.model.width])
    clean(model)
    names = [str(value.name) for value in graph.inputs]
    return GraphContract(
        inputs=dict.fromkeys(names, (0, 1)),
        outputs=(OUTPUT,),
        dynamic=tuple(range(len(leading))),
        width=loaded.model.width,
    )


def _inputs(graph: ir.Graph, loaded: LoadedEncoder) -> dict[str, ir.Value]:
    """Return the graph's inputs by a bundle's names. Raises ExportError if they are not those of a text."""
    found: dict[str, ir.Value] = {}
    for value in graph.inputs:
        if value.is_initializer():
            continue  # older files list their weights among the inputs
        name = _NAMES.get(value.name or "")
        if name is None or (name not in ("input_ids", "attention_mask") and name not in loaded.input_names):
            raise ExportError(
                f"the graph takes {value.name}, which the checkpoint's tokenizer does not make; export it with "
                f"{', '.join(loaded.input_names)} alone"
            )
        if value.dtype not in _INTEGERS:
            raise ExportError(f"the input {value.name} is {value.dtype}; a bundle's inputs are integers")
        _check_axes(value)
        found[name] = value
    if "input_ids" not in found:
        raise ExportError("the graph does not take input_ids; export it for tokenised texts")
    return found


def _check_width(output: ir.Value, loaded: LoadedEncoder) -> None:
    given = output.shape[len(output.shape) - 1] if output.shape is not None and len(output.shape) else None
    if isinstance(given, int) and given != loaded.model.width:
        raise ExportError(
            f"the output {output.name} has {given} numbers, and the checkpoint gives {loaded.model.width}: name the "
            "checkpoint that the file was exported from"
        )


def _check_axes(value: ir.Value) -> None:
    if value.shape is None or len(value.shape) != 2:
        raise ExportError(f"the input {value.name} has the shape {value.shape} instead of (batch, sequence)")
    fixed = [
        f"{axis}={size}"
        for axis, size in zip((BATCH, SEQUENCE), value.shape, strict=True)
        if isinstance(size, int)
    ]
    if fixed:
        raise ExportError(
            f"the input {value.name} has fixed axes ({', '.join(fixed)}), so the graph can't read texts of other "
            "lengths or several at a time; export it with dynamic axes"
        )


def _replace_input(graph: ir.Graph, name: str, value: ir.Value) -> None:
    """Put an int64 input called `name` in the place of `value`."""
    wanted = ir.val(name, dtype=ir.DataType.INT64, shape=ir.Shape([BATCH, SEQUENCE]))
    graph.inputs.remove(value)
    graph.inputs.append(wanted)
    narrow = value.dtype
    if narrow is None or narrow == ir.DataType.INT64:
        value.replace_all_uses_with(wanted)
        return
    cast = ir.node("Cast", [wanted], {"to": int(narrow)}, name=f"{name}/Cast")
    cast.outputs[0].name = f"{name}.narrow"
    cast.outputs[0].dtype, cast.outputs[0].shape = narrow, wanted.shape
    value.replace_all_uses_with(cast.outputs[0])
    graph.insert_before(graph[0], [cast])


def _sort_inputs(graph: ir.Graph) -> None:
    kept = [value for value in graph.inputs if not value.is_initializer()]
    for value in list(graph.inputs):
        graph.inputs.remove(value)
    graph.inputs.extend(sorted(kept, key=lambda value: _ORDER.index(str(value.name))))


def _output(model: ir.Model, loaded: LoadedEncoder) -> ir.Value:
    """Return the value that holds the checkpoint's outputs, computed from the graph's outputs."""
    graph = model.graph
    outputs = {str(value.name): value for value in graph.outputs}
    if set(_SPANS) <= outputs.keys():
        return _stacked(model, [outputs[name] for name in _SPANS])
    if isinstance(loaded.model, SentenceEmbedder):
        if _POOLED in outputs:
            return outputs[_POOLED]
        hidden = next((outputs[name] for name in _HIDDEN if name in outputs), None)
        if hidden is not None:
            return _pooled(model, _as_float(graph, hidden), loaded.model)
    if OUTPUT in outputs:
        return outputs[OUTPUT]
    if len(outputs) == 1:
        return next(iter(outputs.values()))
    raise ExportError(
        f"none of the graph's outputs ({', '.join(outputs)}) is known to hold the answers of {loaded.task}"
    )


def _stacked(model: ir.Model, values: list[ir.Value]) -> ir.Value:
    """Return float (batch, sequence, 2) from two values (batch, sequence)."""
    last = _axes(model, "spans.axis", -1)
    wide = [_add(model.graph, "Unsqueeze", [_as_float(model.graph, value), last]) for value in values]
    return _add(model.graph, "Concat", wide, axis=-1)


def _pooled(model: ir.Model, hidden: ir.Value, network: SentenceEmbedder) -> ir.Value:
    """Return vectors, float (batch, width), from token vectors (batch, sequence, width), as `network` pools them."""
    graph = model.graph
    if network.pooling == "cls":
        first = initializer(graph, "pooling.first", np.array(0))
        vectors = _add(graph, "Gather", [hidden, first], axis=1)
    elif network.pooling == "mean":
        vectors = _mean(model, hidden)
    else:
        raise ExportError(
            f"the graph gives token vectors, and pooling by {network.pooling!r} is not added to them; export it with "
            f"an output {_POOLED}"
        )
    for step in network.steps:
        if isinstance(step, UnitLength):
            vectors = _add(graph, "LpNormalization", [vectors], axis=1, p=2)
        elif isinstance(step, Truncation):
            bounds = [
                initializer(graph, f"pooling.{name}", np.array([number]))
                for name, number in (("from", 0), ("to", step.width), ("axis", 1))
            ]
            vectors = _add(graph, "Slice", [vectors, *bounds])
        else:
            raise ExportError(
                f"the graph gives token vectors, and the checkpoint's Dense layer is not added to them; export it with "
                f"an output {_POOLED}"
            )
    return vectors


def _mean(model: ir.Model, hidden: ir.Value) -> ir.Value:
    """Return the mean of the token vectors that the mask keeps."""
    graph = model.graph
    mask = next((value for value in graph.inputs if value.name == "attention_mask"), None)
    if mask is None:
        raise ExportError("the graph takes no attention_mask, which the mean of its token vectors needs")
    weights = _add(graph, "Cast", [mask], to=int(ir.DataType.FLOAT))
    weights = _add(graph, "Unsqueeze", [weights, _axes(model, "pooling.last", -1)])
    tokens = _axes(model, "pooling.tokens", 1)
    total = _add(graph, "ReduceSum", [_add(graph, "Mul", [hidden, weights]), tokens], keepdims=0)
    return _add(graph, "Div", [total, _add(graph, "ReduceSum", [weights, tokens], keepdims=0)])


def _axes(model: ir.Model, name: str, axis: int) -> ir.Value:
    opset = model.opset_imports.get("", 0)
    if opset < _AXES_AS_INPUTS:
        raise ExportError(f"the graph has opset {opset}; export it with opset {_AXES_AS_INPUTS} or later")
    return initializer(model.graph, name, np.array([axis]))


def _as_float(graph: ir.Graph, value: ir.Value) -> ir.Value:
    """Return `value`, which a node of the graph must compute and nothing else may give, in float32."""
    if value.dtype not in (None, ir.DataType.FLOAT):
        return _add(graph, "Cast", [value], to=int(ir.DataType.FLOAT))
    return value if value.producer() is not None else _add(graph, "Identity", [value])


def _add(graph: ir.Graph, operator: str, inputs: list[ir.Value], **attributes: Any) -> ir.Value:
    """Append a node whose output is float32 to the graph, and return the output."""
    node = ir.node(operator, inputs, attributes, name=f"adapted/{operator}_{graph.num_nodes()}")
    value = node.outputs[0]
    value.name, value.dtype = f"{node.name}.out", ir.DataType.FLOAT
    graph.append(node)
    return value
