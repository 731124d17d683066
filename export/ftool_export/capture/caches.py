"""Caches for a model during capture, made of the graph's inputs.

transformers asks a cache for more than its tensors: how long the past is, which sets positions, and how long keys are,
which sets the size of T5's position bias. These caches answer from the shapes of the graph's own inputs.
"""

# ruff: noqa: D102, ARG002 - the methods are transformers' own, which describes them

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, EncoderDecoderCache

KeysValues = tuple[Tensor, Tensor]  # both (batch, heads, length, head_dim)


class CapturedCache(Cache):  # type: ignore[misc] # transformers is not typed
    """The answers that all caches of a capture share: none slides, and none is made for torch.compile.

    Attributes:
        past_length: the number of tokens before the new ones, from which positions start; often a symbol of the graph.
    """

    past_length: Any = 0

    def __init__(self, layers: Sequence[Any]) -> None:
        self.layers = list(layers)

    @property
    def is_compileable(self) -> bool:
        return False

    @property
    def is_sliding(self) -> list[bool]:
        return [False] * len(self.layers)

    def get_seq_length(self, layer_idx: int = 0) -> Any:
        return self.past_length

    def get_query_offset(self, layer_idx: int = 0) -> Any:
        return self.past_length

    def get_mask_sizes(self, query_length: int, layer_idx: int = 0) -> tuple[Any, int]:
        return self.past_length + query_length, 0


class StaticCache(CapturedCache):
    """A cache that returns new keys and values unchanged, because the attention operator appends them to its buffers.

    Args:
        layers: the number of layers.
        past_length: see `CapturedCache`.
        key_length: the length to which keys are expanded, without copying, for code that reads it; None: unchanged.
    """

    def __init__(self, layers: int, past_length: Any = 0, key_length: int | None = None) -> None:
        super().__init__([None] * layers)
        self.past_length, self.key_length = past_length, key_length
        self.new: dict[int, KeysValues] = {}

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> KeysValues:
        self.new[layer_idx] = (key_states, value_states)
        if self.key_length is None:
            return key_states, value_states
        expanded = (-1, -1, self.key_length, -1)
        return key_states[:, :, :1].expand(expanded), value_states[:, :, :1].expand(expanded)


class ConcatenatedCache(CapturedCache):
    """A cache that concatenates past and new keys and values along their length, like transformers' dynamic cache."""

    def __init__(self, past: Sequence[KeysValues]) -> None:
        super().__init__([None] * len(past))
        self.past_length = past[0][0].shape[2]
        self.past = past
        self.present: dict[int, KeysValues] = {}

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> KeysValues:
        keys, values = self.past[layer_idx]
        self.present[layer_idx] = (
            torch.cat([keys, key_states], dim=2),
            torch.cat([values, value_states], dim=2),
        )
        return self.present[layer_idx]


@dataclass(slots=True)
class _CrossLayer:
    keys: Tensor
    values: Tensor


class CrossCache(CapturedCache):
    """Keys and values of the source for cross-attention: given, or recorded while the decoder computes them."""

    def __init__(self, given: Sequence[KeysValues] = ()) -> None:
        super().__init__([_CrossLayer(*pair) for pair in given])
        self.recorded: dict[int, KeysValues] = {}

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> KeysValues:
        self.recorded[layer_idx] = (key_states, value_states)
        return key_states, value_states


class PairedCache(CapturedCache, EncoderDecoderCache):  # type: ignore[misc]
    """An encoder-decoder's two caches; `cross_ready` says whether the source's keys and values are computed."""

    def __init__(self, own: CapturedCache, cross: CrossCache, layers: int, *, cross_ready: bool) -> None:
        super().__init__([None] * layers)
        self.past_length = own.past_length
        self.self_attention_cache, self.cross_attention_cache = own, cross
        self.is_updated = dict.fromkeys(range(layers), cross_ready)
