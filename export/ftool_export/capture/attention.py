"""Capture attention as one fused operator of ONNX Runtime instead of MatMul, Softmax and MatMul.

transformers computes attention through its attention interface in nearly every architecture. While a model is being
captured, an implementation registered with this interface emits one `com.microsoft::MultiHeadAttention` node per layer.
The graph is fused from the start, so no pattern has to be matched in the exporter's output.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import (
    AttentionMaskInterface,
    bidirectional_mask_function,
    causal_mask_function,
    sdpa_mask,
)

OPERATOR: Final = "com.microsoft::MultiHeadAttention"
OPERATOR_VERSION: Final = 1
IMPLEMENTATION: Final = "ftool_onnxruntime"

# Patterns that the operator derives from the padding mask and its `unidirectional` attribute.
_OPERATOR_PATTERNS = (bidirectional_mask_function, causal_mask_function)


@dataclass(slots=True)
class EmittedAttention:
    """The number of attention operators emitted so far within one `attention_at_the_source` block."""

    nodes: int = 0  # attention operators emitted so far


@contextmanager
def attention_at_the_source(model: nn.Module) -> Iterator[EmittedAttention]:
    """Within the block, let `model`'s attention emit the operator `MultiHeadAttention`; restore the model afterwards.

    Within the block the model can be captured but not run, because the emitted operator exists only in ONNX Runtime.
    Sub-models that do not use transformers' attention interface keep their own attention, and emit nothing.

    Yields:
        The count of emitted operators; if it is 0 after a capture, the graph has no fused attention.
    """
    emitted = EmittedAttention()

    def emit(module: nn.Module, *args: Any, **kwargs: Any) -> tuple[Tensor, None]:
        emitted.nodes += 1
        return multi_head_attention(module, *args, **kwargs), None

    with attention_replaced(model, emit, operator_mask):
        yield emitted


@contextmanager
def attention_replaced(
    model: nn.Module, attend: Callable[..., tuple[Tensor, None]], mask: Callable[..., Tensor | None]
) -> Iterator[None]:
    """Within the block, let sub-models that use transformers' attention interface compute attention with `attend`.

    Args:
        model: the model that contains the sub-models; it is restored after the block.
        attend: the attention function: attend(module, query, key, value, attention_mask, **options) -> (output, None).
        mask: a function that makes the attention mask; it takes the same arguments as `operator_mask`.
    """
    AttentionInterface.register(IMPLEMENTATION, attend)
    AttentionMaskInterface.register(IMPLEMENTATION, mask)
    try:
        with attention_implementation(model, IMPLEMENTATION):
            yield
    finally:
        # There is no public function to unregister, and masks are looked up only in this mapping.
        del AttentionInterface._global_mapping[IMPLEMENTATION]
        del AttentionMaskInterface._global_mapping[IMPLEMENTATION]


@contextmanager
def attention_implementation(model: nn.Module, name: str) -> Iterator[None]:
    """Within the block, let the sub-models that use transformers' attention interface use the implementation `name`."""
    models = [part for part in model.modules() if isinstance(part, PreTrainedModel)]
    before = [(part, part.config._attn_implementation) for part in models]
    try:
        for part in models:
            if part._can_set_attn_implementation():
                part.set_attn_implementation(name)
        yield
    finally:
        for part, implementation in before:
            if part.config._attn_implementation != implementation:
                part.set_attn_implementation(implementation)


def multi_head_attention(
    module: nn.Module,
    query: Tensor,  # (batch, heads, time, head_dim)
    key: Tensor,  # (batch, key_value_heads, time, head_dim)
    value: Tensor,  # (batch, key_value_heads, time, head_dim)
    attention_mask: Tensor
    | None,  # int32 (batch, time), or float (batch, 1, time, time); see `operator_mask`
    *,
    scaling: float | None = None,
    is_causal: bool | None = None,
    position_bias: Tensor | None = None,  # float (1, heads, time, time), T5's
    **_: Any,
) -> Tensor:  # (batch, time, heads, head_dim)
    """Emit the operator `MultiHeadAttention` for one layer, and return its output, (batch, time, heads, head_dim).

    `attention_mask` has one of the forms that `operator_mask` returns. `position_bias`, float (1, heads, time, time),
    is added to the attention scores.
    """
    batch, heads, time, head_dim = query.shape
    groups = heads // key.shape[1]
    if groups > 1:
        key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    causal = bool(getattr(module, "is_causal", False)) if is_causal is None else is_causal
    padding, bias = (attention_mask, None) if _is_padding(attention_mask) else (None, attention_mask)
    if position_bias is not None:
        bias = position_bias if bias is None else bias + position_bias
    packed = [
        tensor.transpose(1, 2).flatten(2) for tensor in (query, key, value)
    ]  # (batch, time, heads * dim)
    attended: Tensor = torch.onnx.ops.symbolic(
        OPERATOR,
        (*packed, None, padding, bias),
        attrs={
            "num_heads": heads,
            "scale": float(head_dim**-0.5 if scaling is None else scaling),
            "unidirectional": int(causal and bias is None),
        },
        dtype=query.dtype,
        shape=packed[2].shape,
        version=OPERATOR_VERSION,
    )
    return attended.view(batch, time, heads, -1)


def _is_padding(mask: Tensor | None) -> bool:
    return mask is not None and mask.dim() == 2


def operator_mask(
    batch_size: int,
    q_length: int,
    kv_length: int,
    q_offset: int = 0,
    kv_offset: int = 0,
    mask_function: Any = causal_mask_function,
    attention_mask: Tensor | None = None,
    dtype: torch.dtype = torch.float32,
    **kwargs: Any,
) -> Tensor:
    """Return an attention mask in a form that the operator `MultiHeadAttention` takes.

    Returns:
        int32 (batch, time), 0 on padding, if the attention is bidirectional or causal apart from padding. Otherwise,
        for example for a sliding window, float (batch, 1, time, time), to be added to the attention scores.
    """
    if attention_mask is not None and mask_function in _OPERATOR_PATTERNS:
        return attention_mask.to(torch.int32)
    kwargs |= {"allow_is_causal_skip": False, "allow_is_bidirectional_skip": False}
    allowed = sdpa_mask(
        batch_size, q_length, kv_length, q_offset, kv_offset, mask_function, attention_mask, **kwargs
    )
    return torch.where(allowed, 0.0, torch.finfo(dtype).min).to(dtype)
