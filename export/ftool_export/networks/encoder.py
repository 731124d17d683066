"""`EncoderNetwork`, the base of the networks of all encoder tasks, and the pooling of token vectors."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

T = TypeVar("T")

INPUT_NAMES = ("input_ids", "attention_mask", "token_type_ids")
_PROBED = 9  # tokens of the probe row, and tokens of padding
_PADDING_EFFECT = 1e-4  # relative to the largest hidden state; another order of summation changes 1e-6


class EncoderNetwork(nn.Module, ABC):
    """An encoder and the layers of a task.

    `forward(input_ids, attention_mask, token_type_ids=None)` takes int64 (batch, sequence) tensors, padded on the right
    with an `attention_mask` of 0. `forward` returns float32 (batch, width), or (batch, sequence, width) if `per_token`
    is set.

    Attributes:
        per_token: whether there is an output for each token.
        part_names: the names under which other libraries read the tensors that the output is made of (`parts`); empty
            if they read the output itself.
        output_name: the name of the output for other libraries.
    """

    per_token: ClassVar[bool] = False
    part_names: ClassVar[tuple[str, ...]] = ()
    output_name: ClassVar[str] = "logits"

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        # Read the signature here, because wrappers that are put around the encoder later hide it.
        accepted = inspect.signature(encoder.forward).parameters
        self.input_names = tuple(name for name in INPUT_NAMES if name in accepted)

    @property
    def config(self) -> Any:
        """The encoder's Hugging Face configuration."""
        return self.encoder.config

    @property
    @abstractmethod
    def width(self) -> int:
        """The number of outputs per row, or per token if `per_token` is set."""

    @cached_property
    def reads_padding(self) -> bool:
        """Whether padding in a batch changes a row's hidden states, as in a network with a convolution over tokens.

        Measured once, on a row of random tokens; the network must be in evaluation mode.
        """
        config, device = self.config, next(self.parameters()).device
        generator = torch.Generator().manual_seed(0)
        ids = torch.randint(0, config.vocab_size, (1, _PROBED), generator=generator)
        padding = torch.full((1, _PROBED), max(getattr(config, "pad_token_id", None) or 0, 0))
        mask = torch.ones_like(ids)
        with torch.inference_mode():
            single, padded = (
                self._hidden_states(tokens.to(device), seen.to(device))[0, :_PROBED].float()
                for tokens, seen in (
                    (ids, mask),
                    (torch.cat([ids, padding], dim=1), torch.cat([mask, torch.zeros_like(mask)], dim=1)),
                )
            )
        return bool((single - padded).abs().max() > _PADDING_EFFECT * single.abs().max())

    def _hidden_states(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        output = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True, return_dict=True
        )
        last: Tensor = output.hidden_states[-1]
        return last

    def forward_with_parts(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Return the output, and then the parts that it is made of; the arguments are as for `forward`."""
        parts = self.parts(input_ids, attention_mask, token_type_ids)
        return self.combine(parts, attention_mask), *parts

    def parts(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None
    ) -> tuple[Tensor, ...]:
        """Return the tensors that `part_names` names; the arguments are as for `forward`."""
        raise NotImplementedError(f"{type(self).__name__} has no parts")

    def combine(self, parts: Sequence[Tensor], attention_mask: Tensor) -> Tensor:
        """Return the output that `parts` give, for a mask as in `forward`."""
        raise NotImplementedError(f"{type(self).__name__} has no parts")

    def encode(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None) -> Any:
        """Return the output of the attribute `encoder`; the arguments are as for `forward`."""
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        if token_type_ids is not None:
            inputs["token_type_ids"] = token_type_ids
        return self.encoder(**inputs)


def head_inputs(head: nn.Module, run: Callable[[], object]) -> Tensor:
    """Call `run`, which runs a network, and return the input that the network's layer `head` had."""
    seen: list[Tensor] = []
    hook = head.register_forward_pre_hook(lambda _module, arguments: seen.append(arguments[0]))
    try:
        run()
    finally:
        hook.remove()
    return seen[-1]


def hidden_states(encoder: nn.Module, run: Callable[[], T]) -> tuple[T, tuple[Tensor, ...]]:
    """Call `run`, which runs a Hugging Face encoder once; return its result and the encoder's hidden states.

    The hidden states are the embeddings and then the output of each layer, each (batch, sequence, hidden).
    """
    seen: list[tuple[Tensor, ...]] = []
    hooks = [
        encoder.register_forward_pre_hook(
            lambda _module, arguments, named: (arguments, {**named, "output_hidden_states": True}),
            with_kwargs=True,
        ),
        encoder.register_forward_hook(lambda _module, _arguments, output: seen.append(output.hidden_states)),
    ]
    try:
        result = run()
    finally:
        for hook in hooks:
            hook.remove()
    return result, seen[-1]


def pool(hidden: Tensor, attention_mask: Tensor, pooling: str) -> Tensor:
    """Pool token vectors (batch, sequence, hidden), padded on the right, into one vector per row (batch, hidden).

    `pooling` is "mean" (of all tokens except padding), "cls" (the first token's vector) or "last" (the vector of the
    last token before padding).
    """
    if pooling == "cls":
        return hidden[:, 0]
    if pooling == "last":
        last = attention_mask.sum(dim=1) - 1  # (batch,)
        return hidden[torch.arange(hidden.shape[0], device=hidden.device), last]
    weights = attention_mask.unsqueeze(-1).to(hidden.dtype)  # (batch, sequence, 1)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-9)


def hidden_size(config: Any) -> int:
    """Return the width of an encoder's token vectors."""
    return int(getattr(config, "hidden_size", None) or config.dim)


def last_linear(network: nn.Module, width: int) -> nn.Linear:
    """Return the network's head: the last linear layer with `width` outputs. Raises TypeError if there is none."""
    found = [m for m in network.modules() if isinstance(m, nn.Linear) and m.out_features == width]
    if not found:
        raise TypeError(
            f"{type(network).__name__} has no linear layer of {width} outputs to serve as its head"
        )
    return found[-1]
