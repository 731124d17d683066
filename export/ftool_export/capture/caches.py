"""Key-value caches for a model while it is captured; the graph's inputs hold the past keys and values.

transformers asks a cache not only for keys and values but also for the number of past tokens, which determines
positions, and for the number of keys, which determines the size of T5's position bias. The caches here take these
numbers from the shapes of the graph's inputs.
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
    """Base class of caches for capture: no layer has a sliding window, and torch.compile is not supported.

    Attributes:
        past_length: the number of past tokens, which is the position of the first new token; often symbolic.
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
    """A cache that stores no past: it passes on new keys and values, which the attention operator appends to buffers.

    Args:
        layers: the number of layers.
        past_length: see `CapturedCache`.
        key_length: the length to which new keys and values are expanded, without copying, for code that reads the
            length of a whole row from the shape of the keys; None leaves new keys and values unchanged.
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
    """A cache that concatenates past and new keys and values along the length axis, like transformers' DynamicCache."""

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
    """A cache of the source's keys and values for cross-attention, given or recorded when the decoder computes them."""

    def __init__(self, given: Sequence[KeysValues] = ()) -> None:
        super().__init__([_CrossLayer(*pair) for pair in given])
        self.recorded: dict[int, KeysValues] = {}

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> KeysValues:
        self.recorded[layer_idx] = (key_states, value_states)
        return key_states, value_states


class PairedCache(CapturedCache, EncoderDecoderCache):  # type: ignore[misc]
    """The caches of an encoder-decoder for self-attention (`own`) and cross-attention (`cross`).

    `cross_ready` says whether the source's keys and values are already in `cross`; otherwise the decoder computes them.
    """

    def __init__(self, own: CapturedCache, cross: CrossCache, layers: int, *, cross_ready: bool) -> None:
        super().__init__([None] * layers)
        self.past_length = own.past_length
        self.self_attention_cache, self.cross_attention_cache = own, cross
        self.is_updated = dict.fromkeys(range(layers), cross_ready)
