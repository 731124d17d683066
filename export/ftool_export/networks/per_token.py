"""Networks with an output for every token: a tagger's logits, and a reader's starts and ends of an answer."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from ftool_export.networks.encoder import EncoderNetwork, last_linear


class TokenTagger(EncoderNetwork):
    """A Hugging Face model for token classification."""

    per_token: ClassVar[bool] = True

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the tags, in the order of the logits."""
        return tuple(self.config.id2label[index] for index in range(self.config.num_labels))

    @property
    def width(self) -> int:
        """A logit for every tag."""
        return len(self.labels)

    @property
    def head(self) -> nn.Linear:
        """The last linear layer, whose output is the logits: weight (labels, hidden) float32."""
        return last_linear(self.encoder, self.width)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Logits float32 (batch, sequence, labels) of int64 (batch, sequence) inputs; the mask is 0 on padding."""
        logits: Tensor = self.encode(input_ids, attention_mask, token_type_ids).logits
        return logits


class SpanReader(EncoderNetwork):
    """A Hugging Face model for question answering, its two outputs as one."""

    per_token: ClassVar[bool] = True

    @property
    def width(self) -> int:
        """A start and an end."""
        return 2

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Logits float32 (batch, sequence, 2), of a start and an end, of int64 (batch, sequence) inputs."""
        found = self.encode(input_ids, attention_mask, token_type_ids)
        return torch.stack([found.start_logits, found.end_logits], dim=-1)
