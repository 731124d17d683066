"""The base of all tasks' networks, an encoder and one output made of it, and the poolings that they share."""

import inspect
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

INPUT_NAMES = ("input_ids", "attention_mask", "token_type_ids")


class EncoderNetwork(nn.Module, ABC):
    """An encoder and the task's own layers.

    `forward(input_ids, attention_mask, token_type_ids=None)` takes int64 (batch, sequence), the mask 0 on padding,
    which is on the right, and gives float32 (batch, width), or (batch, sequence, width) if `per_token`.
    """

    per_token: ClassVar[bool] = False

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        # Read here, as wrappers put around the encoder later hide its signature.
        accepted = inspect.signature(encoder.forward).parameters
        self.input_names = tuple(name for name in INPUT_NAMES if name in accepted)

    @property
    def config(self) -> Any:
        """The encoder's Hugging Face configuration."""
        return self.encoder.config

    @property
    @abstractmethod
    def width(self) -> int:
        """How many numbers a row, or a token, gets."""

    def encode(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None) -> Any:
        """The encoder's own output; the arguments are `forward`'s."""
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        if token_type_ids is not None:
            inputs["token_type_ids"] = token_type_ids
        return self.encoder(**inputs)


def pool(hidden: Tensor, attention_mask: Tensor, pooling: str) -> Tensor:
    """One vector a row, (batch, hidden), of token vectors (batch, sequence, hidden), padded on the right.

    mean: over all tokens but padding; cls: the first token's; last: that of the last token before the padding.
    """
    if pooling == "cls":
        return hidden[:, 0]
    if pooling == "last":
        last = attention_mask.sum(dim=1) - 1  # (batch,)
        return hidden[torch.arange(hidden.shape[0], device=hidden.device), last]
    weights = attention_mask.unsqueeze(-1).to(hidden.dtype)  # (batch, sequence, 1)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-9)


def hidden_size(config: Any) -> int:
    """The width of a token's vector."""
    return int(getattr(config, "hidden_size", None) or config.dim)


def last_linear(network: nn.Module, width: int) -> nn.Linear:
    """The last linear layer with `width` outputs, which serves as the head. Raises TypeError if there is none."""
    found = [m for m in network.modules() if isinstance(m, nn.Linear) and m.out_features == width]
    if not found:
        raise TypeError(
            f"{type(network).__name__} has no linear layer of {width} outputs to serve as its head"
        )
    return found[-1]
