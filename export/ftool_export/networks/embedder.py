"""The embedding network: an encoder, the pooling of its token vectors, projections and scaling."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (torch's own name for it)

from ftool_export.networks.encoder import EncoderNetwork, hidden_size, pool

Pooling = Literal["mean", "cls", "last"]


class UnitLength(nn.Module):
    """A layer that scales vectors to length 1, like sentence-transformers' Normalize."""

    def forward(self, vectors: Tensor) -> Tensor:
        """Return `vectors` (batch, width) divided by their Euclidean length."""
        return F.normalize(vectors, p=2.0, dim=1)


class Projection(nn.Module):
    """A linear layer and an activation on the pooled vector, like sentence-transformers' Dense."""

    def __init__(self, linear: nn.Linear, activation: str) -> None:
        """`activation` is the name of a class in torch.nn that takes no arguments."""
        super().__init__()
        self.linear = linear
        self.activation_name = activation
        self.activation: nn.Module = getattr(nn, activation)()

    def forward(self, vectors: Tensor) -> Tensor:
        """Map vectors (batch, in_features) to (batch, out_features)."""
        projected: Tensor = self.activation(self.linear(vectors))
        return projected


class Truncation(nn.Module):
    """A layer that keeps the first dimensions of a vector, like sentence-transformers' truncate_dim."""

    def __init__(self, width: int) -> None:
        """`width` is the number of dimensions to keep; shorter vectors stay whole."""
        super().__init__()
        self.width = width

    def forward(self, vectors: Tensor) -> Tensor:
        """Return the first `width` columns of vectors (batch, width before)."""
        return vectors[:, : self.width]


Step = UnitLength | Projection | Truncation


class SentenceEmbedder(EncoderNetwork):
    """A network from token ids to one vector per text: an `AutoModel`, its pooling, then `steps` in order."""

    part_names: ClassVar[tuple[str, ...]] = ("last_hidden_state",)
    output_name: ClassVar[str] = "sentence_embedding"

    def __init__(self, encoder: nn.Module, steps: Sequence[Step], *, pooling: Pooling) -> None:
        super().__init__(encoder)
        self.steps = nn.ModuleList(steps)
        self.pooling = pooling

    @property
    def width(self) -> int:
        """The number of dimensions of a vector."""
        width = hidden_size(self.config)
        for step in self.steps:
            if isinstance(step, Projection):
                width = step.linear.out_features
            elif isinstance(step, Truncation):
                width = min(width, step.width)
        return width

    @property
    def normalize(self) -> bool:
        """Whether vectors have length 1."""
        return len(self.steps) > 0 and isinstance(self.steps[-1], UnitLength)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Return vectors, float32 (batch, width), for int64 (batch, sequence) inputs.

        Padding is on the right, with an `attention_mask` of 0.
        """
        return self.combine(self.parts(input_ids, attention_mask, token_type_ids), attention_mask)

    def parts(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None
    ) -> tuple[Tensor, ...]:
        """Return the vectors of all tokens, float32 (batch, sequence, hidden)."""
        return (self.encode(input_ids, attention_mask, token_type_ids).last_hidden_state,)

    def combine(self, parts: Sequence[Tensor], attention_mask: Tensor) -> Tensor:
        """Return vectors, float32 (batch, width), from the vectors of all tokens."""
        vectors = pool(parts[0], attention_mask, self.pooling)
        for step in self.steps:
            vectors = step(vectors)
        return vectors
