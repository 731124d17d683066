"""Networks with an output for every token: tag logits of a tagger, start and end logits of a reader."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from ftool_export.networks.encoder import EncoderNetwork, head_inputs, last_linear


class TokenTagger(EncoderNetwork):
    """A Hugging Face model for token classification."""

    per_token: ClassVar[bool] = True

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the tags, in the order of the logits."""
        return tuple(self.config.id2label[index] for index in range(self.config.num_labels))

    @property
    def width(self) -> int:
        """The number of logits per token: one per tag."""
        return len(self.labels)

    @property
    def head(self) -> nn.Linear:
        """The linear layer that computes the logits; its weight is float32 (labels, hidden)."""
        return last_linear(self.encoder, self.width)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Return logits, float32 (batch, sequence, labels), for int64 (batch, sequence) inputs.

        `attention_mask` is 0 on padding.
        """
        logits: Tensor = self.encode(input_ids, attention_mask, token_type_ids).logits
        return logits

    def features(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Return the inputs of the head, float32 (batch, sequence, hidden); the arguments are as for `forward`."""
        return head_inputs(self.head, lambda: self.encode(input_ids, attention_mask, token_type_ids))


class SpanReader(EncoderNetwork):
    """A Hugging Face model for question answering, with its start and end logits in one output."""

    per_token: ClassVar[bool] = True
    part_names: ClassVar[tuple[str, ...]] = ("start_logits", "end_logits")

    @property
    def width(self) -> int:
        """The number of logits per token: a start and an end."""
        return 2

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Return start and end logits, float32 (batch, sequence, 2), for int64 (batch, sequence) inputs."""
        return self.combine(self.parts(input_ids, attention_mask, token_type_ids), attention_mask)

    def parts(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None
    ) -> tuple[Tensor, ...]:
        """Return start and end logits, each float32 (batch, sequence)."""
        found = self.encode(input_ids, attention_mask, token_type_ids)
        return found.start_logits, found.end_logits

    def combine(self, parts: Sequence[Tensor], attention_mask: Tensor) -> Tensor:  # noqa: ARG002
        """Return start and end logits in one tensor, float32 (batch, sequence, 2)."""
        return torch.stack(list(parts), dim=-1)
