"""The network that reads: an encoder that says of every token how well an answer starts and ends there."""

from typing import ClassVar

import torch
from torch import Tensor

from ftool_export.networks.encoder import EncoderNetwork


class SpanReader(EncoderNetwork):
    """A Hugging Face model for question answering, its two outputs as one."""

    per_token: ClassVar[bool] = True

    @property
    def width(self) -> int:
        """A start, an end."""
        return 2

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Logits float32 (batch, sequence, 2), a start's and an end's, of int64 (batch, sequence) inputs."""
        found = self.encode(input_ids, attention_mask, token_type_ids)
        return torch.stack([found.start_logits, found.end_logits], dim=-1)
