"""What the networks of all tasks have in common: an encoder, and one output made of it."""

import inspect
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn

INPUT_NAMES = ("input_ids", "attention_mask", "token_type_ids")


class EncoderNetwork(nn.Module, ABC):
    """An encoder and what a task makes of it.

    `forward(input_ids, attention_mask, token_type_ids=None)` takes int64 (batch, sequence), the mask 0 on padding,
    which stands on the right, and gives float32 (batch, width), or (batch, sequence, width) where `per_token`.
    """

    per_token: ClassVar[bool] = False

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        # What `forward` passes on. Read here: wrappers put around the encoder later hide its signature.
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
