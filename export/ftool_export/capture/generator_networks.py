"""A generator's encoder and decoder as modules that are traced into graphs.

Each `forward` takes the graph's inputs and returns the graph's outputs, both in order. The decoders differ in their
caches: attention operators append to static caches, which are buffers of a fixed capacity; concatenated caches are
joined with new keys and values at each step.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from ftool_export.capture.attention import attention_at_the_source
from ftool_export.capture.caches import (
    CapturedCache,
    ConcatenatedCache,
    CrossCache,
    KeysValues,
    PairedCache,
    StaticCache,
)
from ftool_export.capture.decoder_attention import (
    DecoderStep,
    decoder_attention,
    recording_attention,
)
from ftool_export.capture.positions import masks_by_position


class SourceEncoder(nn.Module):
    """An encoder with the decoder's cross-attention projections, to compute all keys and values of a source once."""

    def __init__(
        self, model: PreTrainedModel, layers: int, *, fused: bool, with_hidden: bool = False
    ) -> None:
        super().__init__()
        self.model, self.layers, self.fused, self.with_hidden = model, layers, fused, with_hidden

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        """Return keys and values for cross-attention, layer by layer; the inputs are int64 (batch, source_length).

        With `with_hidden` the encoder's last hidden state, float32 (batch, source_length, width), comes last.
        """
        encoder, decoder = self.model.get_encoder(), self.model.get_decoder()
        with attention_at_the_source(encoder) if self.fused else nullcontext():
            hidden = encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        cross = CrossCache()
        paired = PairedCache(StaticCache(self.layers), cross, self.layers, cross_ready=False)
        # Running the decoder for one token makes it compute them; nothing reads the rest of that pass.
        with recording_attention(decoder) if self.fused else nullcontext():
            decoder(
                input_ids=input_ids[:, :1],
                encoder_hidden_states=hidden,
                past_key_values=paired,
                use_cache=True,
            )
        caches = _flat([cross.recorded[layer] for layer in range(self.layers)])
        return (*caches, hidden) if self.with_hidden else caches


class _Decoder(nn.Module):
    def __init__(self, model: PreTrainedModel, layers: int) -> None:
        super().__init__()
        self.model, self.layers = model, layers

    def _results(
        self, logits_at: Tensor, present: Mapping[int, KeysValues], **inputs: Any
    ) -> tuple[Tensor, ...]:
        """Run the model on `inputs`; return the logits, (batch, kept, vocabulary), and the caches.

        The run stores the caches of each layer in `present`.
        """
        with _head_at(self.model, logits_at):
            logits = self.model(use_cache=True, **inputs).logits
        return logits, *_flat([present[layer] for layer in range(self.layers)])


class _CrossDecoder(_Decoder):
    def _cross_inputs(
        self, input_ids: Tensor, source_mask: Tensor, own: CapturedCache, cross: Sequence[KeysValues]
    ) -> dict[str, Any]:
        """Return the model's inputs for a step with `cross`, the precomputed keys and values of the source.

        The encoder's outputs in these inputs are zeros, because nothing reads them.
        """
        width = self.model.get_input_embeddings().weight.shape[1]
        hidden = torch.zeros(1, 1, 1).expand(input_ids.shape[0], cross[0][0].shape[2], width)
        return {
            "decoder_input_ids": input_ids,
            "encoder_outputs": BaseModelOutput(hidden),
            "attention_mask": source_mask,
            "past_key_values": PairedCache(own, CrossCache(cross), self.layers, cross_ready=True),
        }


class StaticCacheDecoder(_Decoder):
    """A decoder without an encoder, whose caches are buffers to which the attention operators append."""

    def forward(
        self,
        input_ids: Tensor,
        position_ids: Tensor,
        seqlens_k: Tensor,
        total_length: Tensor,
        logits_at: Tensor,
        past: Sequence[Tensor],
    ) -> tuple[Tensor, ...]:
        """Return logits, (batch, kept, vocabulary), and the updated buffers.

        `input_ids` and `position_ids` are int64 (batch, sequence). `logits_at`, int64 (batch, kept), has the indices
        of the new tokens whose logits are returned. `DecoderStep` describes the other inputs.
        """
        cache = StaticCache(self.layers)
        step = DecoderStep(cache, _pairs(past), seqlens_k, total_length)
        inputs = {"input_ids": input_ids, "position_ids": position_ids, "past_key_values": cache}
        with decoder_attention(self.model, step):
            return self._results(logits_at, step.present, **inputs)


class StaticCacheCrossDecoder(_CrossDecoder):
    """The decoder of an encoder-decoder, whose caches are buffers to which the attention operators append."""

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
        """Return logits, (batch, kept, vocabulary), and the updated buffers.

        `input_ids` is int64 (batch, sequence). Only the length of `positions`, int64 (total_length,), is read.
        `logits_at`, int64 (batch, kept), has the indices of the new tokens whose logits are returned. `DecoderStep`
        describes the other inputs.
        """
        length = positions.shape[0]
        own = StaticCache(self.layers, length - input_ids.shape[1], length)
        step = DecoderStep(own, _pairs(past), seqlens_k, total_length, _pairs(cross), source_mask)
        with decoder_attention(self.model, step):
            inputs = self._cross_inputs(input_ids, source_mask, own, step.cross)
            return self._results(logits_at, step.present, **inputs)


class ConcatenatedCacheDecoder(_Decoder):
    """A decoder without an encoder, with the architecture's own attention and concatenated caches."""

    def __init__(self, model: PreTrainedModel, layers: int) -> None:
        super().__init__(model, layers)
        self.takes_positions = "position_ids" in signature(model.forward).parameters

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        position_ids: Tensor,
        logits_at: Tensor,
        past: Sequence[Tensor],
    ) -> tuple[Tensor, ...]:
        """Return logits, (batch, kept, vocabulary), and the caches joined with the new keys and values.

        `attention_mask` is int64 (batch, total_length), and `logits_at`, int64 (batch, kept), has the indices of the
        new tokens whose logits are returned.
        """
        cache = ConcatenatedCache(_pairs(past))
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask, "past_key_values": cache}
        if self.takes_positions:
            inputs["position_ids"] = position_ids
        with masks_by_position(self.model, attention_mask, position_ids):
            return self._results(logits_at, cache.present, **inputs)


class ConcatenatedCacheCrossDecoder(_CrossDecoder):
    """The decoder of an encoder-decoder, with the architecture's own attention and concatenated caches."""

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        source_mask: Tensor,
        logits_at: Tensor,
        past: Sequence[Tensor],
        cross: Sequence[Tensor],
    ) -> tuple[Tensor, ...]:
        """Return logits, (batch, kept, vocabulary), and the caches joined with the new keys and values.

        `attention_mask` is int64 (batch, total_length), and `logits_at`, int64 (batch, kept), has the indices of the
        new tokens whose logits are returned.
        """
        own = ConcatenatedCache(_pairs(past))
        inputs = self._cross_inputs(input_ids, source_mask, own, _pairs(cross))
        # Masks by position are not needed: all decoder rows have the same length, so columns are positions.
        return self._results(logits_at, own.present, decoder_attention_mask=attention_mask, **inputs)


@contextmanager
def _head_at(model: PreTrainedModel, logits_at: Tensor) -> Iterator[None]:
    """Within the block, let `model` compute logits only for the new tokens at `logits_at`, int64 (batch, kept).

    This saves time, because the output head is the largest matrix product of a step.
    """

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


def _pairs(tensors: Sequence[Tensor]) -> list[KeysValues]:
    return list(zip(tensors[::2], tensors[1::2], strict=True))


def _flat(pairs: Sequence[KeysValues]) -> tuple[Tensor, ...]:
    return tuple(tensor for pair in pairs for tensor in pair)
