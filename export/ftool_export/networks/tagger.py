"""The network that tags: an encoder that says of every token what it is."""

from typing import ClassVar

from torch import Tensor, nn

from ftool_export.networks.encoder import EncoderNetwork


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
        layers = [module for module in self.encoder.modules() if isinstance(module, nn.Linear)]
        fitting = [layer for layer in layers if layer.out_features == self.width]
        return fitting[-1]

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Logits float32 (batch, sequence, labels) of int64 (batch, sequence) inputs; the mask is 0 on padding."""
        logits: Tensor = self.encode(input_ids, attention_mask, token_type_ids).logits
        return logits
