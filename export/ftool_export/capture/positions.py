"""Attention masks for concatenated caches, computed from the positions of tokens in their rows.

A batch of prompts with different lengths is padded on the right, and later tokens are put after the padding, so a
token's column in the cache may differ from its position. A sliding window measured in columns would count padding too;
therefore masks are computed from positions here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers.masking_utils import AttentionMaskInterface, causal_mask_function

from ftool_export.capture.attention import attention_implementation

_EAGER = "eager"


@contextmanager
def masks_by_position(model: nn.Module, attention_mask: Tensor, queries: Tensor) -> Iterator[None]:
    """Within the block, let `model` use its own attention with masks by position; restore the model afterwards.

    Args:
        model: the model to which the masks apply.
        attention_mask: int64 (batch, total_length), 1 for columns of the cache that hold a token, 0 for padding.
        queries: int64 (batch, sequence), the positions of the new tokens.
    """
    keys = (attention_mask.cumsum(1) - 1).clamp(min=0)  # (batch, total_length), positions

    def mask(
        *_: Any, mask_function: Any = causal_mask_function, dtype: torch.dtype = torch.float32, **__: Any
    ) -> Tensor:
        batch = torch.arange(keys.shape[0])[:, None, None, None]
        allowed = mask_function(batch, batch.new_zeros(1), queries[:, None, :, None], keys[:, None, None, :])
        return _additive(allowed & attention_mask.bool()[:, None, None, :], dtype)

    usual = AttentionMaskInterface._global_mapping[_EAGER]
    windows = _by_position(model, queries, keys)
    AttentionMaskInterface._global_mapping[_EAGER] = mask
    try:
        with attention_implementation(model, _EAGER):
            yield
    finally:
        AttentionMaskInterface._global_mapping[_EAGER] = usual
        for window in windows:
            window.restore()


class _Window:
    """A mask by position for a layer of GPT-Neo's local attention, whose own window is a table indexed by columns."""

    def __init__(self, part: Any, queries: Tensor, keys: Tensor) -> None:
        self.part, self.table = part, part.bias
        size = part.bias.shape[-1]
        outside = keys[:, None, None, :] <= queries[:, None, :, None] - part.config.window_size
        self.mask = _additive(~outside, torch.float32)
        part.bias = torch.ones(1, 1, size, size, dtype=torch.bool).tril()
        self.hook = part.register_forward_pre_hook(self._narrow, with_kwargs=True)

    def _narrow(self, _: nn.Module, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
        given = options.get("attention_mask")
        return inputs, {**options, "attention_mask": self.mask if given is None else given + self.mask}

    def restore(self) -> None:
        """Restore the layer's own window table."""
        self.hook.remove()
        self.part.bias = self.table


def _by_position(model: nn.Module, queries: Tensor, keys: Tensor) -> list[_Window]:
    local = [part for part in model.modules() if getattr(part, "attention_type", None) == "local"]
    return [_Window(part, queries, keys) for part in local if isinstance(getattr(part, "bias", None), Tensor)]


def _additive(allowed: Tensor, dtype: torch.dtype) -> Tensor:
    # Half of the lowest number, so that two such masks can be added.
    return torch.where(allowed, 0.0, torch.finfo(dtype).min / 2).to(dtype)
