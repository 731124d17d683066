"""Encoder and decoder as functions of flat inputs, which are traced into graphs.

Each forward takes the graph's inputs and returns its outputs, in order. The classes differ in the decoder's caches:
buffers to which operators append, or tensors that are concatenated.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.cache_utils import Cache
from transformers.modeling_outputs import BaseModelOutput

from ftool_export.capture.caches import CrossCache, InPlaceCache, JoinedCache, KeysValues, PairedCache
from ftool_export.capture.decoder_attention import (
    DecoderStep,
    decoder_attention,
    encoder_attention,
    recording_attention,
)
from ftool_export.capture.positions import masks_by_position


class SourceEncoder(nn.Module):
    """The encoder with the decoder's cross-attention projections: all keys and values of a source, computed once."""

    def __init__(self, model: PreTrainedModel, layers: int, *, fused: bool) -> None:
        super().__init__()
        self.model, self.layers, self.fused = model, layers, fused

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        """Return cross keys and values, layer by layer, for int64 (batch, source_length) inputs."""
        encoder, decoder = self.model.get_encoder(), self.model.get_decoder()
        with encoder_attention(encoder) if self.fused else nullcontext():
            hidden = encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        cross = CrossCache()
        caches = PairedCache(InPlaceCache(self.layers), cross, self.layers, cross_ready=False)
        # Running the decoder for one token makes it compute them; nothing reads the rest of that pass.
        with recording_attention(decoder) if self.fused else nullcontext():
            decoder(
                input_ids=input_ids[:, :1],
                encoder_hidden_states=hidden,
                past_key_values=caches,
                use_cache=True,
            )
        return _flat([cross.recorded[layer] for layer in range(self.layers)])


class StaticCacheDecoder(nn.Module):
    """A decoder without an encoder, whose caches are buffers to which operators append."""

    def __init__(self, model: PreTrainedModel, layers: int) -> None:
        super().__init__()
        self.model, self.layers = model, layers

    def forward(
        self,
        input_ids: Tensor,
        position_ids: Tensor,
        seqlens_k: Tensor,
        total_length: Tensor,
        logits_at: Tensor,
        past: Sequence[Tensor],
    ) -> tuple[Tensor, ...]:
        """Return logits (batch, kept, vocabulary) and the updated buffers; `DecoderStep` describes the inputs."""
        cache = InPlaceCache(self.layers)
        step = DecoderStep(cache, _pairs(past), seqlens_k, total_length)
        with decoder_attention(self.model, step), _head_at(self.model, logits_at):
            logits = self.model(
                input_ids=input_ids, position_ids=position_ids, past_key_values=cache, use_cache=True
            ).logits
        return logits, *_flat([step.present[layer] for layer in range(self.layers)])


class InPlaceCrossDecoder(nn.Module):
    """An encoder-decoder's decoder, whose caches are buffers to which operators append."""

    def __init__(self, model: PreTrainedModel, layers: int) -> None:
        super().__init__()
        self.model, self.layers = model, layers

    def forward(
        self,
        input_ids: Tensor,
        positions: Tensor,
        source_mask: Tensor,
        seqlens_k: Tensor,
        total_length: Tensor,
        logits_at: Tensor,
        past: Sequence[Tensor],
        cross: Sequence[Tensor],
    ) -> tuple[Tensor, ...]:
        """Return logits (batch, kept, vocabulary) and the updated buffers; `positions` has the length of the rows."""
        length = positions.shape[0]
        own = InPlaceCache(self.layers, length - input_ids.shape[1], length)
        step = DecoderStep(own, _pairs(past), seqlens_k, total_length, _pairs(cross), source_mask)
        caches = PairedCache(own, CrossCache(step.cross), self.layers, cross_ready=True)
        with decoder_attention(self.model, step), _head_at(self.model, logits_at):
            logits = self.model(
                decoder_input_ids=input_ids,
                encoder_outputs=_unread_encoder_outputs(self.model, input_ids, cross[0]),
                attention_mask=source_mask,
                past_key_values=caches,
                use_cache=True,
            ).logits
        return logits, *_flat([step.present[layer] for layer in range(self.layers)])


class ConcatenatedCacheDecoder(nn.Module):
    """A decoder without an encoder, with the architecture's own attention and concatenated caches."""

    def __init__(self, model: PreTrainedModel, layers: int) -> None:
        super().__init__()
        self.model, self.layers = model, layers
        self.takes_positions = "position_ids" in signature(model.forward).parameters

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        position_ids: Tensor,
        logits_at: Tensor,
        past: Sequence[Tensor],
    ) -> tuple[Tensor, ...]:
        """Return logits (batch, kept, vocabulary) and the caches; the mask is int64 (batch, total_length)."""
        cache = JoinedCache(_pairs(past))
        positions = {"position_ids": position_ids} if self.takes_positions else {}
        with (
            masks_by_position(self.model, attention_mask, position_ids),
            _head_at(self.model, logits_at),
        ):
            logits = self.model(
                input_ids=input_ids,
                attention_mask=attention_mask,
                past_key_values=cache,
                use_cache=True,
                **positions,
            ).logits
        return logits, *_flat([cache.present[layer] for layer in range(self.layers)])


class JoinedCrossDecoder(nn.Module):
    """An encoder-decoder's decoder, with the architecture's own attention and concatenated caches."""

    def __init__(self, model: PreTrainedModel, layers: int) -> None:
        super().__init__()
        self.model, self.layers = model, layers

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        source_mask: Tensor,
        logits_at: Tensor,
        past: Sequence[Tensor],
        cross: Sequence[Tensor],
    ) -> tuple[Tensor, ...]:
        """Return logits (batch, kept, vocabulary) and the caches; the mask is int64 (batch, total_length)."""
        own = JoinedCache(_pairs(past))
        caches: Cache = PairedCache(own, CrossCache(_pairs(cross)), self.layers, cross_ready=True)
        # Masks by position are not needed: all decoder rows have the same length, so columns are positions.
        with _head_at(self.model, logits_at):
            logits = self.model(
                decoder_input_ids=input_ids,
                decoder_attention_mask=attention_mask,
                encoder_outputs=_unread_encoder_outputs(self.model, input_ids, cross[0]),
                attention_mask=source_mask,
                past_key_values=caches,
                use_cache=True,
            ).logits
        return logits, *_flat([own.present[layer] for layer in range(self.layers)])


@contextmanager
def _head_at(model: PreTrainedModel, logits_at: Tensor) -> Iterator[None]:
    """Within the block, compute logits only at positions int64 (batch, kept): the head is a step's largest product."""

    def gather(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
        hidden = inputs[0]  # (batch, time, width)
        kept: Tensor = torch.onnx.ops.symbolic(
            "GatherND",
            (hidden, logits_at.unsqueeze(-1)),
            attrs={"batch_dims": 1},
            dtype=hidden.dtype,
            shape=(*logits_at.shape, hidden.shape[2]),
        )
        return (kept,)

    head = model.get_output_embeddings()
    handle = head.register_forward_pre_hook(gather)
    try:
        yield
    finally:
        handle.remove()


def _unread_encoder_outputs(model: PreTrainedModel, input_ids: Tensor, cross: Tensor) -> Any:
    """Return a placeholder for the encoder's outputs, of which only the shape is used once cross caches are ready."""
    width = model.get_input_embeddings().weight.shape[1]
    return BaseModelOutput(torch.zeros(1, 1, 1).expand(input_ids.shape[0], cross.shape[2], width))


def _pairs(tensors: Sequence[Tensor]) -> list[KeysValues]:
    return list(zip(tensors[::2], tensors[1::2], strict=True))


def _flat(pairs: Sequence[KeysValues]) -> tuple[Tensor, ...]:
    return tuple(tensor for pair in pairs for tensor in pair)
