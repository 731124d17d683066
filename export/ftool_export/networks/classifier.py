"""The classification network: an encoder, the pooling of its token vectors, and a linear head."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (torch's own name for it)

from ftool_export.networks.encoder import EncoderNetwork, head_inputs, last_linear, pool

Pooling = Literal["mean", "cls", "pooler"]


class SequenceClassifier(EncoderNetwork):
    """A network from token ids to one logit per label, for two kinds of checkpoint.

    - `pooling` "mean" or "cls": `encoder` is an `AutoModel`. Its token vectors are pooled, scaled to length 1 if
      `normalize`, and passed to a linear head that ftool trains.
    - `pooling` "pooler": `encoder` is an `AutoModelForSequenceClassification` with its own head.

    If `regression` is set, the outputs are numbers instead of logits. Several numbers have their names in `labels`; a
    single number has no name. If `sigmoid` is set, a sigmoid is applied to the numbers.
    """

    def __init__(
        self,
        encoder: nn.Module,
        head: nn.Linear | None,
        *,
        labels: Sequence[str],
        multi_label: bool,
        pooling: Pooling,
        normalize: bool = False,
        regression: bool = False,
        sigmoid: bool = False,
    ) -> None:
        super().__init__(encoder)
        assert (head is None) == (pooling == "pooler"), "a checkpoint with its own head takes no second one"
        self.pooled_head = head
        self.labels = tuple(labels)
        self.multi_label = multi_label
        self.pooling = pooling
        self.normalize = normalize
        self.regression = regression
        self.sigmoid = sigmoid

    @property
    def width(self) -> int:
        """The number of outputs: one per label, or 1 for a number without a name."""
        return len(self.labels) or 1

    @property
    def head(self) -> nn.Linear:
        """The linear layer that computes the logits; its weight is float32 (labels, hidden)."""
        if self.pooled_head is not None:
            return self.pooled_head
        return last_linear(self.encoder, self.width)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Return logits, float32 (batch, labels), for int64 (batch, sequence) inputs.

        `attention_mask` is 0 on padding.
        """
        logits: Tensor
        if self.pooled_head is not None:
            logits = self.pooled_head(self.features(input_ids, attention_mask, token_type_ids))
        else:
            logits = self.encode(input_ids, attention_mask, token_type_ids).logits
        return logits.sigmoid() if self.sigmoid else logits

    def features(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Return the inputs of the head, float32 (batch, hidden); the arguments are as for `forward`."""
        if self.pooled_head is None:
            return self._features_of_own_head(input_ids, attention_mask, token_type_ids)
        hidden = self.encode(input_ids, attention_mask, token_type_ids).last_hidden_state
        vectors = pool(hidden, attention_mask, self.pooling)
        return F.normalize(vectors, p=2.0, dim=1) if self.normalize else vectors

    def parts(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None
    ) -> tuple[Tensor, ...]:
        """Return the inputs of the head, float32 (batch, hidden)."""
        return (self.features(input_ids, attention_mask, token_type_ids),)

    def combine(self, parts: Sequence[Tensor], attention_mask: Tensor) -> Tensor:  # noqa: ARG002 (every network's)
        """Return the logits that the head gives for its inputs."""
        logits: Tensor = self.head(parts[0])
        return logits

    def _features_of_own_head(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None
    ) -> Tensor:
        features = head_inputs(self.head, lambda: self.encode(input_ids, attention_mask, token_type_ids))
        if features.dim() == 2:
            return features
        # Decoders compute logits at every position; the last token's are the answer.
        last = attention_mask.sum(dim=1) - 1  # (batch,); padding is on the right
        return features[torch.arange(features.shape[0], device=features.device), last]
