"""Capture a generator: a graph of the encoder, if any, and a graph of the decoder, which runs prompts and steps."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import onnx_ir as ir
import torch
from torch import Tensor, nn

from ftool_export.capture.decoder_structure import CacheSize, DecoderStructure, decoder_structure
from ftool_export.capture.generator_networks import (
    ConcatenatedCacheCrossDecoder,
    ConcatenatedCacheDecoder,
    SourceEncoder,
    StaticCacheCrossDecoder,
    StaticCacheDecoder,
)
from ftool_export.capture.rotary import rotary_at_the_source
from ftool_export.capture.simplified_modules import simplified
from ftool_export.capture.torch_export import (
    BATCH,
    HIDDEN,
    OUTPUT,
    SEQUENCE,
    Captured,
    GraphContract,
    Signature,
)

log = logging.getLogger(__name__)

# Sizes of the trace: one for each dynamic axis, at least 2 (see `Signature`).
_BATCH, _SOURCE, _TIME, _PAST, _CAPACITY, _KEPT = 2, 9, 5, 6, 32, 3
_TOTAL: Final = _PAST + _TIME
_SOURCE_AXIS: Final = "source_length"


def capture_generator(model: Any, with_parts: bool = False) -> Captured:
    """Capture `model`, a PreTrainedModel in evaluation mode, as the graphs "encoder" (if any) and "decoder".

    The model is not changed. With `with_parts` the encoder also gives its last hidden state, from which it computes its
    other outputs.

    Raises:
        ExportError: PyTorch's exporter can't capture the model, or the model's state between tokens is not a cache of
            keys and values for every layer.
    """
    structure = decoder_structure(model)
    if structure.unfit:
        log.warning(
            "%s: %s; exported with its own attention and concatenated caches",
            model.config.model_type,
            structure.unfit,
        )
    fused = structure.unfit is None
    traced = {}
    with simplified(model), rotary_at_the_source(model):
        if structure.cross:
            traced["encoder"] = _capture_encoder(model, structure, fused=fused, with_hidden=with_parts)
        traced["decoder"] = _capture_decoder(model, structure, fused=fused)
    return Captured(
        {name: graph for name, (graph, _) in traced.items()},
        {name: contract for name, (_, contract) in traced.items()},
        "fused" if fused else "plain",
        "in_place" if fused else "joined",
    )


def _capture_encoder(
    model: Any, structure: DecoderStructure, *, fused: bool, with_hidden: bool
) -> tuple[ir.Model, GraphContract]:
    signature, axes = Signature(), {0: BATCH, 1: _SOURCE_AXIS}
    signature.add("input_ids", _tokens(_SOURCE), axes)
    signature.add("attention_mask", torch.ones(_BATCH, _SOURCE, dtype=torch.int64), axes, optional=True)
    network = SourceEncoder(model, len(structure.own), fused=fused, with_hidden=with_hidden)
    outputs = cache_names("cross", len(structure.cross)) + ([HIDDEN] if with_hidden else [])
    graph, contract = signature.trace(network.eval(), outputs)
    operators = {"MultiHeadAttention": structure.encoder_attentions} if fused else {}
    return graph, replace(contract, operators=operators)


def _capture_decoder(
    model: Any, structure: DecoderStructure, *, fused: bool
) -> tuple[ir.Model, GraphContract]:
    layers, signature = len(structure.own), Signature()
    signature.add("input_ids", _tokens(_TIME), {0: BATCH, 1: SEQUENCE})
    if fused:
        _add_static_inputs(signature, cross=bool(structure.cross))
    else:
        _add_concatenated_inputs(signature, cross=bool(structure.cross))
    signature.add("logits_at", torch.zeros(_BATCH, _KEPT, dtype=torch.int64), {0: BATCH, 1: "kept"})
    length, axis = (_CAPACITY, "capacity") if fused else (_PAST, "past_length")
    _add_caches(signature, "past", structure.own, length, axis)
    network: nn.Module
    if structure.cross:
        _add_caches(signature, "cross", structure.cross, _SOURCE, _SOURCE_AXIS)
        network = (StaticCacheCrossDecoder if fused else ConcatenatedCacheCrossDecoder)(model, layers)
    else:
        network = (StaticCacheDecoder if fused else ConcatenatedCacheDecoder)(model, layers)
    graph, contract = signature.trace(network.eval(), [OUTPUT, *cache_names("present", layers)])
    operators = {"GroupQueryAttention": layers, "MultiHeadAttention": len(structure.cross)} if fused else {}
    return graph, replace(contract, operators=operators)


def _add_static_inputs(signature: Signature, *, cross: bool) -> None:
    if cross:
        signature.add("positions", torch.arange(_TOTAL), {0: "total_length"}, optional=True)
        _add_source_mask(signature, torch.int32)
    else:
        _add_position_ids(signature)
    signature.add("seqlens_k", torch.full((_BATCH,), _TOTAL - 1, dtype=torch.int32), {0: BATCH})
    signature.add("total_length", torch.tensor(_TOTAL, dtype=torch.int32), {})


def _add_concatenated_inputs(signature: Signature, *, cross: bool) -> None:
    mask = torch.ones(_BATCH, _TOTAL, dtype=torch.int64)
    signature.add("attention_mask", mask, {0: BATCH, 1: "total_length"}, optional=True)
    if cross:
        _add_source_mask(signature, torch.int64)
    else:
        _add_position_ids(signature)


# The optional inputs are those that some architectures do not read: T5 uses distances instead of positions.


def _add_position_ids(signature: Signature) -> None:
    positions = torch.arange(_PAST, _TOTAL).repeat(_BATCH, 1)
    signature.add("position_ids", positions, {0: BATCH, 1: SEQUENCE}, optional=True)


def _add_source_mask(signature: Signature, dtype: torch.dtype) -> None:
    mask = torch.ones(_BATCH, _SOURCE, dtype=dtype)
    signature.add("source_mask", mask, {0: BATCH, 1: _SOURCE_AXIS}, optional=True)


def _add_caches(signature: Signature, kind: str, sizes: Sequence[CacheSize], length: int, axis: str) -> None:
    caches = [torch.zeros(_BATCH, size.heads, length, size.head_dim) for size in sizes for _ in range(2)]
    signature.add_tuple(cache_names(kind, len(sizes)), caches, {0: BATCH, 2: axis})


def cache_names(kind: str, layers: int) -> list[str]:
    """Return the names of a graph's caches of one kind, such as "past.0.key", "past.0.value", "past.1.key", ..."""
    return [f"{kind}.{layer}.{part}" for layer in range(layers) for part in ("key", "value")]


def _tokens(length: int) -> Tensor:
    return torch.arange(1, _BATCH * length + 1).reshape(_BATCH, length)
