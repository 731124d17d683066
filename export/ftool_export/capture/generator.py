"""Capture a generator: one graph of the encoder, if there is one, and one of the decoder for prompt and steps."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import onnx_ir as ir
import torch
from torch import Tensor, nn

from ftool_export.capture.decoder_structure import CacheSize, Survey, survey
from ftool_export.capture.generator_networks import (
    ConcatenatedCacheDecoder,
    InPlaceCrossDecoder,
    JoinedCrossDecoder,
    SourceEncoder,
    StaticCacheDecoder,
)
from ftool_export.capture.rotary import rotary_at_the_source
from ftool_export.capture.simplified_modules import simplified
from ftool_export.capture.torch_export import BATCH, OUTPUT, Captured, GraphContract, export_graph

log = logging.getLogger(__name__)

# Sizes of the trace: a different one for each dynamic axis, and none is 0 or 1, which torch.export makes constants.
_BATCH, _SOURCE, _TIME, _PAST, _CAPACITY, _KEPT = 2, 9, 5, 6, 32, 3

# Inputs that some architectures do not read: T5 uses distances instead of positions.
_OPTIONAL: Final = frozenset({"position_ids", "positions", "attention_mask", "source_mask"})

_Traced = tuple[ir.Model, GraphContract]


def capture_generator(model: Any) -> Captured:
    """Capture `model`, a PreTrainedModel in evaluation mode, as "encoder" and "decoder"; the model is not changed.

    Raises:
        ExportError: PyTorch's exporter can't capture it, or its state is more than keys and values.
    """
    found = survey(model)
    if found.unfit:
        log.warning(
            "%s: %s; exported with its own attention and concatenated caches",
            model.config.model_type,
            found.unfit,
        )
    fused = found.unfit is None
    traced: dict[str, _Traced] = {}
    with simplified(model), rotary_at_the_source(model):
        if found.cross:
            traced["encoder"] = _capture_encoder(model, found, fused=fused)
        traced["decoder"] = _capture_decoder(model, found, fused=fused)
    return Captured(
        {name: graph for name, (graph, _) in traced.items()},
        {name: contract for name, (_, contract) in traced.items()},
        "fused" if fused else "plain",
        "in_place" if fused else "joined",
    )


def _capture_encoder(model: Any, found: Survey, *, fused: bool) -> _Traced:
    signature = _Signature()
    signature.add("input_ids", _tokens(_SOURCE), {0: BATCH, 1: "source_length"})
    signature.add(
        "attention_mask", torch.ones(_BATCH, _SOURCE, dtype=torch.int64), {0: BATCH, 1: "source_length"}
    )
    network = SourceEncoder(model, len(found.own), fused=fused)
    operators = {"MultiHeadAttention": found.encoder_attentions} if fused else {}
    return signature.export(network, cache_names("cross", len(found.cross)), operators)


def _capture_decoder(model: Any, found: Survey, *, fused: bool) -> _Traced:
    layers, signature = len(found.own), _Signature()
    signature.add("input_ids", _tokens(_TIME), {0: BATCH, 1: "sequence"})
    if fused:
        _add_in_place_inputs(signature, cross=bool(found.cross))
    else:
        _add_joined_inputs(signature, cross=bool(found.cross))
    signature.add("logits_at", torch.zeros(_BATCH, _KEPT, dtype=torch.int64), {0: BATCH, 1: "kept"})
    length, axis = (_CAPACITY, "capacity") if fused else (_PAST, "past_length")
    signature.add_caches("past", found.own, length, axis)
    network: nn.Module
    if found.cross:
        signature.add_caches("cross", found.cross, _SOURCE, "source_length")
        network = (InPlaceCrossDecoder if fused else JoinedCrossDecoder)(model, layers)
    else:
        network = (StaticCacheDecoder if fused else ConcatenatedCacheDecoder)(model, layers)
    operators = {"GroupQueryAttention": layers, "MultiHeadAttention": len(found.cross)} if fused else {}
    return signature.export(network, [OUTPUT, *cache_names("present", layers)], operators)


def _add_in_place_inputs(signature: "_Signature", *, cross: bool) -> None:
    total = _PAST + _TIME
    if cross:
        signature.add("positions", torch.arange(total), {0: "total_length"})
        mask = torch.ones(_BATCH, _SOURCE, dtype=torch.int32)
        signature.add("source_mask", mask, {0: BATCH, 1: "source_length"})
    else:
        positions = torch.arange(_PAST, total).repeat(_BATCH, 1)
        signature.add("position_ids", positions, {0: BATCH, 1: "sequence"})
    signature.add("seqlens_k", torch.full((_BATCH,), total - 1, dtype=torch.int32), {0: BATCH})
    signature.add("total_length", torch.tensor(total, dtype=torch.int32), {})


def _add_joined_inputs(signature: "_Signature", *, cross: bool) -> None:
    total = _PAST + _TIME
    mask = torch.ones(_BATCH, total, dtype=torch.int64)
    signature.add("attention_mask", mask, {0: BATCH, 1: "total_length"})
    if cross:
        source = torch.ones(_BATCH, _SOURCE, dtype=torch.int64)
        signature.add("source_mask", source, {0: BATCH, 1: "source_length"})
    else:
        positions = torch.arange(_PAST, total).repeat(_BATCH, 1)
        signature.add("position_ids", positions, {0: BATCH, 1: "sequence"})


@dataclass(slots=True)
class _Signature:
    """The inputs of a graph that is being put together: example values, names and dynamic axes."""

    values: list[Any] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    shapes: list[Any] = field(default_factory=list)
    axes: dict[str, Any] = field(default_factory=dict)
    dynamic: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def add(self, name: str, value: Tensor, axes: dict[int, str]) -> None:
        self.values.append(value)
        self.names.append(name)
        self.shapes.append(self._dynamic(axes))
        self.dynamic[name] = tuple(axes)

    def add_caches(self, name: str, sizes: Sequence[CacheSize], length: int, axis: str) -> None:
        caches = [torch.zeros(_BATCH, size.heads, length, size.head_dim) for size in sizes for _ in range(2)]
        self.values.append(tuple(caches))
        names = cache_names(name, len(sizes))
        self.names += names
        self.shapes.append(tuple(self._dynamic({0: BATCH, 2: axis}) for _ in caches))
        self.dynamic |= dict.fromkeys(names, (0, 2))

    def export(self, network: nn.Module, outputs: Sequence[str], operators: Mapping[str, int]) -> _Traced:
        model = export_graph(network.eval(), tuple(self.values), self.names, outputs, tuple(self.shapes))
        for value in [value for value in model.graph.inputs if value.name in _OPTIONAL and not value.uses()]:
            model.graph.inputs.remove(value)
        inputs = {
            name: axes
            for name, axes in self.dynamic.items()
            if name in {value.name for value in model.graph.inputs}
        }
        return model, GraphContract(inputs, tuple(outputs), operators)

    def _dynamic(self, axes: dict[int, str]) -> dict[int, Any]:
        return {axis: self.axes.setdefault(name, torch.export.Dim(name)) for axis, name in axes.items()}


def cache_names(kind: str, layers: int) -> list[str]:
    """Return the names of a graph's caches, layer by layer, such as "past.0.key" and "past.0.value"."""
    return [f"{kind}.{layer}.{part}" for layer in range(layers) for part in ("key", "value")]


def _tokens(length: int) -> Tensor:
    return torch.arange(1, _BATCH * length + 1).reshape(_BATCH, length)
