"""The embedding network: an encoder, the pooling of its token vectors, and the layers after that."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (torch's own name for it)

from ftool_export.networks.encoder import EncoderNetwork, hidden_size, pool

Pooling = Literal["mean", "cls", "last"]


class UnitLength(nn.Module):
    """Vectors scaled to length 1, as sentence-transformers' Normalize does."""

    def forward(self, vectors: Tensor) -> Tensor:
        """`vectors` (batch, width) over their Euclidean length."""
        return F.normalize(vectors, p=2.0, dim=1)


class Projection(nn.Module):
    """A linear layer and an activation on the pooled vector, as sentence-transformers' Dense."""

    def __init__(self, linear: nn.Linear, activation: str) -> None:
        """`activation` names a class of torch.nn that takes no arguments."""
        super().__init__()
        self.linear = linear
        self.activation_name = activation
        self.activation: nn.Module = getattr(nn, activation)()

    def forward(self, vectors: Tensor) -> Tensor:
        """(batch, in_features) to (batch, out_features)."""
        projected: Tensor = self.activation(self.linear(vectors))
        return projected


class SentenceEmbedder(EncoderNetwork):
    """Token ids to one vector a text: an `AutoModel`, its pooling, and the `steps` after that in their order."""

    def __init__(
        self, encoder: nn.Module, steps: Sequence[UnitLength | Projection], *, pooling: Pooling
    ) -> None:
        super().__init__(encoder)
        self.steps = nn.ModuleList(steps)
        self.pooling = pooling

    @property
    def width(self) -> int:
        """Numbers in a vector."""
        projections = [step for step in self.steps if isinstance(step, Projection)]
        return int(projections[-1].linear.out_features if projections else hidden_size(self.config))

    @property
    def normalize(self) -> bool:
        """Whether vectors come out with length 1."""
        return len(self.steps) > 0 and isinstance(self.steps[-1], UnitLength)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Vectors float32 (batch, width) of int64 (batch, sequence) inputs; the mask is 0 on padding, on the right."""
        hidden = self.encode(input_ids, attention_mask, token_type_ids).last_hidden_state
        vectors = pool(hidden, attention_mask, self.pooling)
        for step in self.steps:
            vectors = step(vectors)
        return vectors
