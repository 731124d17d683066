"""Find a decoder's structure by running its model: number of layers, cache sizes, and whether attention can be fused.

A model's configuration also describes the structure, but each architecture names the fields differently.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.cache_utils import EncoderDecoderCache

from ftool_export.capture.attention import attention_replaced
from ftool_export.errors import ExportError

HEAD_SIZE_STEP: Final = 8  # GroupQueryAttention takes multiples of this

# Tensors passed to attention that the emitted operators use, or that only give a token's position.
_HANDLED: Final = frozenset({"position_bias", "position_ids", "cache_position", "position_embeddings"})
_LENGTH: Final = 3  # tokens of the run


@dataclass(frozen=True, slots=True)
class CacheSize:
    """The size of one layer's keys or values, tensors of shape (batch, heads, length, head_dim)."""

    heads: int
    head_dim: int


@dataclass(frozen=True, slots=True)
class DecoderStructure:
    """The structure of a decoder.

    Attributes:
        own: for each layer, the size of the keys in self-attention; the values have the same size.
        cross: for each layer, the size of the keys in cross-attention; the values have the same size. Empty for
            decoders without an encoder.
        encoder_attentions: the number of attention layers in the encoder that use transformers' attention interface.
        unfit: why the model's attention can't be emitted as fused operators; None if it can.
    """

    own: tuple[CacheSize, ...]
    cross: tuple[CacheSize, ...]
    encoder_attentions: int
    unfit: str | None


def decoder_structure(model: PreTrainedModel) -> DecoderStructure:
    """Return the structure of `model`'s decoder, found by running the model on a few tokens.

    The model must be in evaluation mode, and is not changed.

    Raises:
        ExportError: the model's state between tokens is not, for every layer, a cache of keys and values of one size.
    """
    calls: list[tuple[Tensor, Tensor, Tensor, dict[str, Any]]] = []

    def attend(
        _module: nn.Module, query: Tensor, key: Tensor, value: Tensor, _mask: Any, **options: Any
    ) -> tuple[Tensor, None]:
        calls.append((query, key, value, options))
        return query.transpose(1, 2), None

    own, cross = _sizes(model, _caches(model))
    with attention_replaced(model, attend, lambda *_, **__: None):
        try:
            _caches(model)
        except RuntimeError:  # `attend` returns queries, which don't have the shape of narrower values
            return DecoderStructure(own, cross, 0, "its values have another size than its keys")
    in_encoder = len(calls) - len(own) - len(cross)
    return DecoderStructure(own, cross, max(in_encoder, 0), _unfit(own, calls, elsewhere=in_encoder < 0))


def _caches(model: PreTrainedModel) -> Any:
    tokens = torch.arange(1, _LENGTH + 1)[None]  # not the padding's id in nearly every vocabulary
    inputs = {"input_ids": tokens, "use_cache": True}
    if model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = tokens
    with torch.inference_mode():
        return model(**inputs).past_key_values


def _sizes(model: PreTrainedModel, caches: Any) -> tuple[tuple[CacheSize, ...], tuple[CacheSize, ...]]:
    if isinstance(caches, EncoderDecoderCache):
        return _layer_sizes(model, caches.self_attention_cache), _layer_sizes(
            model, caches.cross_attention_cache
        )
    return _layer_sizes(model, caches), ()


def _layer_sizes(model: PreTrainedModel, cache: Any) -> tuple[CacheSize, ...]:
    sizes = []
    for layer in getattr(cache, "layers", ()):
        keys, values = getattr(layer, "keys", None), getattr(layer, "values", None)
        if keys is None or values is None or keys.dim() != 4 or keys.shape != values.shape:
            break
        sizes.append(CacheSize(keys.shape[1], keys.shape[3]))
    if not sizes or len(sizes) < len(cache.layers):
        raise ExportError(
            f"{model.config.model_type} does not keep keys and values of one size in every layer, so its state "
            "between tokens can't be exported; attention-only architectures such as GPT-2, Llama, T5 or BART can"
        )
    return tuple(sizes)


def _unfit(own: Sequence[CacheSize], calls: Sequence[tuple[Any, ...]], *, elsewhere: bool) -> str | None:
    if elsewhere:
        return "it implements attention outside transformers' interface"
    odd = [size.head_dim for size in own if size.head_dim % HEAD_SIZE_STEP]
    if odd:
        return f"its head size {odd[0]} is not a multiple of {HEAD_SIZE_STEP}"
    given = {name for *_, options in calls for name, value in options.items() if isinstance(value, Tensor)}
    if unknown := given - _HANDLED:
        return f"its attention takes {', '.join(sorted(unknown))}"
    return None
