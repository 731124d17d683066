"""The network that reads: an encoder that says of every token how well an answer starts and ends there."""

import inspect
from typing import Any

import torch
from torch import Tensor, nn

_INPUT_NAMES = ("input_ids", "attention_mask", "token_type_ids")


class SpanReader(nn.Module):
    """A Hugging Face model for question answering, its two outputs as one."""

    width = 2  # a start, an end
    per_token = True

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        # What `forward` passes on. Read here: wrappers put around the encoder later hide its signature.
        accepted = inspect.signature(encoder.forward).parameters
        self.input_names = tuple(name for name in _INPUT_NAMES if name in accepted)

    @property
    def config(self) -> Any:
        """The encoder's Hugging Face configuration."""
        return self.encoder.config

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Logits float32 (batch, sequence, 2), a start's and an end's, of int64 (batch, sequence) inputs."""
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        if token_type_ids is not None:
            inputs["token_type_ids"] = token_type_ids
        found = self.encoder(**inputs)
        return torch.stack([found.start_logits, found.end_logits], dim=-1)
