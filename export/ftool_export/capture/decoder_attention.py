"""Capture a decoder's attention as fused operators of ONNX Runtime that read key-value caches.

Self-attention becomes `GroupQueryAttention`, which appends new keys and values to buffers of a fixed capacity, so that
a step can update the buffers in place. Cross-attention becomes `MultiHeadAttention`, which reads the precomputed keys
and values of the source.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor, nn

from ftool_export.capture.attention import OPERATOR as CROSS_OPERATOR
from ftool_export.capture.attention import (
    OPERATOR_VERSION,
    attention_replaced,
)
from ftool_export.capture.caches import KeysValues, StaticCache

OWN_OPERATOR: Final = "com.microsoft::GroupQueryAttention"


@dataclass(slots=True)
class DecoderStep:
    """The graph inputs that a decoder's attention operators read, and the cache buffers that the operators return.

    Attributes:
        cache: the cache to which the model passes new keys and values.
        past: each layer's buffers for keys and values, float (batch, kv_heads, capacity, head_dim).
        seqlens_k: int32 (batch,), each row's length including new tokens, minus 1.
        total_length: int32 (), the length of the longest row including new tokens.
        cross: each layer's keys and values of the source, float (batch, heads, source_length, head_dim).
        source_mask: int32 (batch, source_length), 0 on padding; None for decoders without an encoder.
        present: by layer, the buffers with the new keys and values appended.
    """

    cache: StaticCache
    past: Sequence[KeysValues]
    seqlens_k: Tensor
    total_length: Tensor
    cross: Sequence[KeysValues] = ()
    source_mask: Tensor | None = None
    present: dict[int, KeysValues] = field(default_factory=dict)


@contextmanager
def recording_attention(decoder: nn.Module) -> Iterator[None]:
    """Within the block, let `decoder` compute keys and values for its caches, but skip attention."""

    def skip(_module: nn.Module, query: Tensor, *_: Any, **__: Any) -> tuple[Tensor, None]:
        return query.transpose(1, 2), None

    with attention_replaced(decoder, skip, _no_mask):
        yield


@contextmanager
def decoder_attention(model: nn.Module, step: DecoderStep) -> Iterator[None]:
    """Within the block, let `model`'s decoder emit attention operators that read the caches in `step`."""

    def emit(
        module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **options: Any
    ) -> tuple[Tensor, None]:
        del mask  # the operators are causal and get the rows' lengths
        layer: int = module.layer_idx  # type: ignore[assignment]
        if step.cross and key is step.cross[layer][0]:
            return _cross_attention(query, key, value, step.source_mask, options), None
        return _own_attention(query, layer, step, options), None

    with attention_replaced(model, emit, _no_mask):
        yield


def _own_attention(query: Tensor, layer: int, step: DecoderStep, options: dict[str, Any]) -> Tensor:
    batch, heads, time, head_dim = query.shape
    key, value = step.cache.new[layer]
    past_keys, past_values = step.past[layer]
    bias = options.get("position_bias")  # (1, heads, time, total_length)
    inputs = [
        *map(_packed, (query, key, value)),
        past_keys,
        past_values,
        step.seqlens_k,
        step.total_length,
        *([] if bias is None else [None, None, None, bias]),
    ]
    attended, *present = torch.onnx.ops.symbolic_multi_out(
        OWN_OPERATOR,
        inputs,
        attrs={
            "num_heads": heads,
            "kv_num_heads": key.shape[1],
            "scale": _scale(options, head_dim),
            "local_window_size": int(options.get("sliding_window") or -1),
            "softcap": float(options.get("softcap") or 0.0),
            "do_rotary": 0,
        },
        dtypes=(query.dtype,) * 3,
        shapes=((batch, time, heads * head_dim), past_keys.shape, past_values.shape),
        version=OPERATOR_VERSION,
    )
    step.present[layer] = (present[0], present[1])
    return attended.view(batch, time, heads, head_dim)


def _cross_attention(
    query: Tensor, key: Tensor, value: Tensor, source_mask: Tensor | None, options: dict[str, Any]
) -> Tensor:
    batch, heads, time, head_dim = query.shape
    attended: Tensor = torch.onnx.ops.symbolic(
        CROSS_OPERATOR,
        (_packed(query), key, value, None, source_mask),
        attrs={"num_heads": heads, "scale": _scale(options, head_dim)},
        dtype=query.dtype,
        shape=(batch, time, heads * head_dim),
        version=OPERATOR_VERSION,
    )
    return attended.view(batch, time, heads, head_dim)


def _packed(tensor: Tensor) -> Tensor:
    """Return `tensor`, (batch, heads, time, head_dim), in the shape (batch, time, heads * head_dim)."""
    return tensor.transpose(1, 2).flatten(2)


def _scale(options: dict[str, Any], head_dim: int) -> float:
    scaling = options.get("scaling")
    return float(head_dim**-0.5 if scaling is None else scaling)


def _no_mask(*_: Any, **__: Any) -> None:
    return None
