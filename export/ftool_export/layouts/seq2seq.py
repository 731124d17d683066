"""Give an encoder-decoder's graphs the inputs and outputs that optimum and transformers.js expect.

    encoder_model          input_ids, attention_mask -> last_hidden_state
    decoder_model_merged   encoder_attention_mask, input_ids, encoder_hidden_states, use_cache_branch,
                           past_key_values.N.decoder.key, .N.decoder.value, .N.encoder.key, .N.encoder.value
                           -> logits, present.N.decoder.key, ...

In ftool's bundles the encoder also computes the keys and values of cross-attention. These libraries expect them of the
decoder's first step, so the nodes that compute them become a branch of the decoder. `use_cache_branch`, bool (1,), is
False in the first step, and True in later ones, which pass the keys and values on.
"""

from typing import Final

import numpy as np
import onnx_ir as ir

from ftool_export.capture.torch_export import BATCH, HIDDEN, SEQUENCE
from ftool_export.errors import GuardError
from ftool_export.passes.matching import clean
from ftool_export.passes.standard_decoder import (
    IDS,
    LENGTHS,
    LOGITS_AT,
    LONGEST,
    Nodes,
    forget_shapes,
    keep_every_position,
    name_axis,
)
from ftool_export.passes.standard_names import AXES, rename_axes

_STAGE: Final = "layout standard"
_SOURCE_MASK: Final = "source_mask"
_POSITIONS: Final = "positions"
_MASK: Final = "attention_mask"
_SOURCE: Final = "encoder_sequence_length"
_PAST: Final = "past_decoder_sequence_length"
_TOTAL: Final = f"{_PAST} + {AXES[SEQUENCE]}"


def standard_encoder(model: ir.Model) -> None:
    """Let an encoder's graph give only its last hidden state, in place."""
    graph = model.graph
    hidden = _hidden(graph)
    graph.outputs.clear()
    graph.outputs.append(hidden)
    clean(model)
    forget_shapes(graph)
    axes = {**AXES, "source_length": _SOURCE}
    rename_axes([*graph.inputs, *graph.outputs], axes)


def merge(decoder: ir.Model, encoder: ir.Model) -> None:
    """Give the graph `decoder` standard names, and the branch that computes cross-attention's keys and values.

    Args:
        decoder: the decoder's graph, which is changed in place.
        encoder: the encoder's graph, which loses the nodes of the branch.

    Raises:
        GuardError: in the encoder's graph, keys and values are not computed from the last hidden state alone.
    """
    graph, inputs = decoder.graph, {str(value.name): value for value in decoder.graph.inputs}
    forget_shapes(graph)
    keep_every_position(graph, inputs[LOGITS_AT])
    own = [value for name, value in inputs.items() if name.startswith("past.")]
    cross = [value for name, value in inputs.items() if name.startswith("cross.")]
    source = _hidden(encoder.graph)
    assert source.shape is not None
    mask = ir.val("encoder_attention_mask", ir.DataType.INT64, [AXES[BATCH], _SOURCE])
    shape = ir.Shape([AXES[BATCH], _SOURCE, source.shape[2]])
    hidden = ir.val("encoder_hidden_states", ir.DataType.FLOAT, shape)
    use_cache = ir.val("use_cache_branch", ir.DataType.BOOL, [1])
    made = Nodes(graph, "standard")
    _compute_lengths(inputs, own[0], made)
    if _SOURCE_MASK in inputs:
        wanted = inputs[_SOURCE_MASK]
        assert wanted.dtype is not None
        found = mask if wanted.dtype == mask.dtype else made("Cast", [mask], to=int(wanted.dtype))
        ir.convenience.replace_all_uses_with(wanted, found)
    given = [_cache(value, "encoder", _SOURCE) for value in cross]
    choice = _choice(use_cache, given, _moved_branch(encoder, graph, hidden, mask, cross))
    for value, chosen in zip(cross, choice.outputs, strict=True):
        ir.convenience.replace_all_uses_with(value, chosen)
    graph.insert_before(graph[0], [*made.nodes, choice])
    for domain, version in encoder.graph.opset_imports.items():
        graph.opset_imports.setdefault(domain, version)
    _set_signature(graph, [mask, inputs[IDS], hidden], own, given, use_cache, choice)
    clean(decoder)


def _hidden(graph: ir.Graph) -> ir.Value:
    return next(value for value in graph.outputs if value.name == HIDDEN)


def _compute_lengths(inputs: dict[str, ir.Value], past: ir.Value, made: Nodes) -> None:
    """Compute what the decoder reads of lengths from the shapes of the tokens and of a cache."""
    shape = made("Shape", [inputs[IDS]])
    rows, new = made("Gather", [shape, made.integers([0])]), made("Gather", [shape, made.integers([1])])
    before = made("Gather", [made("Shape", [past]), made.integers([2])])
    total = made("Add", [before, new])
    found: dict[str, ir.Value] = {}
    if LENGTHS in inputs:
        longest = made("Cast", [made("Squeeze", [total])], to=int(ir.DataType.INT32))
        last = made("Sub", [longest, made.constant(np.array(1, np.int32))])
        found |= {LONGEST: longest, LENGTHS: made("Expand", [last, rows])}
    if _POSITIONS in inputs:
        first, step = made.constant(np.array(0, np.int64)), made.constant(np.array(1, np.int64))
        found[_POSITIONS] = made("Range", [first, made("Squeeze", [total]), step])
    if _MASK in inputs:
        found[_MASK] = made("Expand", [made.integers([1]), made("Concat", [rows, total], axis=0)])
    for name, value in found.items():
        ir.convenience.replace_all_uses_with(inputs[name], value)


def _cache(value: ir.Value, kind: str, axis: str) -> ir.Value:
    """Return a new input for the keys or values that the input `value`, such as "cross.0.key", has had."""
    _, layer, part = str(value.name).split(".")
    assert value.shape is not None
    shape = ir.Shape([AXES[BATCH], value.shape[1], axis, value.shape[3]])
    return ir.val(f"past_key_values.{layer}.{kind}.{part}", value.dtype, shape)


def _moved_branch(
    encoder: ir.Model, graph: ir.Graph, hidden: ir.Value, mask: ir.Value, cross: list[ir.Value]
) -> ir.Graph:
    """Return the nodes of the encoder's graph that compute `cross` from its last hidden state, as a graph.

    The nodes read `hidden`, and shapes of the source from `mask`; their constants move to `graph`.
    """
    source = _hidden(encoder.graph)
    outputs = {str(value.name): value for value in encoder.graph.outputs}
    results = [outputs[str(value.name)] for value in cross]
    encoder.graph.outputs.clear()
    nodes = _nodes_between(source, results)
    texts = set(encoder.graph.inputs)
    for node in nodes:
        for place, value in enumerate(node.inputs):
            if value is source:
                node.replace_input_with(place, hidden)
            elif value in texts:
                if node.op_type != "Shape":
                    raise GuardError(
                        _STAGE,
                        f"the keys and values of the source are computed from {value.name}, in {node.name}",
                    )
                node.replace_input_with(place, mask)
    constants = {
        value for node in nodes for value in node.inputs if value is not None and value.is_initializer()
    }
    for constant in sorted(constants, key=lambda value: str(value.name)):
        del encoder.graph.initializers[str(constant.name)]
        assert constant.const_value is not None
        name = f"encoder.{constant.name}"
        constant.name, constant.const_value = name, ir.tensor(constant.const_value.numpy(), name=name)
        graph.register_initializer(constant)
    encoder.graph.remove(nodes)
    for value in results:
        value.name = f"{value.name}.computed"
    return ir.Graph([], results, nodes=nodes, name="first_step")


def _nodes_between(source: ir.Value, results: list[ir.Value]) -> list[ir.Node]:
    """Return the nodes, in order, that lead from `source` to `results`."""
    found: set[ir.Node] = set()
    waiting = [value.producer() for value in results]
    while waiting:
        node = waiting.pop()
        if node is None or node in found:
            continue
        found.add(node)
        waiting += [value.producer() for value in node.inputs if value is not None and value is not source]
    owner = results[0].producer()
    assert owner is not None
    assert owner.graph is not None
    return [node for node in owner.graph if node in found]


def _choice(use_cache: ir.Value, given: list[ir.Value], computed: ir.Graph) -> ir.Node:
    """Return the node that passes on the keys and values in `given`, or runs the branch that computes them."""
    passed = [ir.node("Identity", [value], name=f"{value.name}.passed") for value in given]
    for node, value in zip(passed, given, strict=True):
        node.outputs[0].name, node.outputs[0].type = f"{value.name}.passed", value.type
    later = ir.Graph([], [node.outputs[0] for node in passed], nodes=passed, name="later_steps")
    names = [str(value.name).replace("past_key_values.", "present.") for value in given]
    outputs = [ir.val(name, value.dtype, value.shape) for name, value in zip(names, given, strict=True)]
    branches = [ir.AttrGraph("then_branch", later), ir.AttrGraph("else_branch", computed)]
    return ir.Node("", "If", [use_cache], branches, outputs=outputs, name="cross_attention_caches")


def _set_signature(
    graph: ir.Graph,
    texts: list[ir.Value],
    own: list[ir.Value],
    given: list[ir.Value],
    use_cache: ir.Value,
    choice: ir.Node,
) -> None:
    """Set the graph's inputs and outputs, those of a layer together, in the order that optimum relies on."""
    logits, *present = graph.outputs
    for value, kind in [
        *((value, "past_key_values") for value in own),
        *((value, "present") for value in present),
    ]:
        _, layer, part = str(value.name).split(".")
        value.name = f"{kind}.{layer}.decoder.{part}"
        name_axis(value, _PAST if kind == "past_key_values" else _TOTAL)
    graph.inputs.clear()
    graph.inputs.extend([*texts, *_by_layer(own, given), use_cache])
    graph.outputs.clear()
    graph.outputs.extend([logits, *_by_layer(present, list(choice.outputs))])
    rename_axes([*graph.inputs, *graph.outputs], AXES)


def _by_layer(own: list[ir.Value], cross: list[ir.Value]) -> list[ir.Value]:
    """Return keys and values layer by layer: those of self-attention, then those of cross-attention."""
    starts = range(0, len(own), 2)
    return [value for start in starts for value in (*own[start : start + 2], *cross[start : start + 2])]
