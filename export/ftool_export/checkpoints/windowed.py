"""Encoders that read long inputs in windows: the common part of taggers and readers."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from ftool_export.checkpoints.base import longest_input, origin_fields, read_facts, trained_length
from ftool_export.checkpoints.encoder import LoadedEncoder
from ftool_export.checkpoints.pretrained import read_licence
from ftool_export.errors import CheckpointError
from ftool_export.tokenizers.source import read_tokenizer
from ftool_runtime.text.encode import Tokens
from ftool_runtime.text.windows import Window


@dataclass(frozen=True, kw_only=True)
class WindowedEncoder(LoadedEncoder):
    """The checkpoint of an encoder whose rows are the windows of its inputs.

    Attributes:
        max_length: the largest number of tokens of a window, special tokens included; longer inputs are cut.
        stride: the number of tokens that two neighbouring windows of an input share.
    """

    stride: int

    @abstractmethod
    def windows(self, inputs: Sequence[Any]) -> list[list[Window]]:
        """Return the windows of each input, in order. Raises InputError for an invalid input."""

    def rows(self, inputs: Sequence[Any]) -> list[list[Tokens]]:
        """Return the token rows of each input, one per window. Raises InputError for an invalid input."""
        return [[window.tokens for window in windows] for windows in self.windows(inputs)]

    def facts(self) -> dict[str, Any]:
        """Return the facts in `LoadedModel.facts`, and the overlap of windows."""
        return {**super().facts(), "stride": self.stride}


def base_fields(
    base: str,
    network: nn.Module,
    config: Any,
    *,
    max_length: int,
    exact_length: bool,
    stride: int | None,
    base_name: str | None,
) -> dict[str, Any]:
    """Return the arguments, except `model`, for a `WindowedEncoder` to be trained from the checkpoint `base`.

    `max_length`, `exact_length`, `stride` and `base_name` are explained in `create_tagger`. Raises CheckpointError if
    the tokenizer can't be read, or `max_length` or `stride` is too large.
    """
    tokenizer = read_tokenizer(base, config)
    longest = trained_length(base, network, tokenizer, max_length, exact=exact_length)
    return {
        "tokenizer": tokenizer,
        "max_length": longest,
        "stride": _stride(stride, longest),
        "base": base_name or base,
        "licence": read_licence(base),
    }


def trained_fields(
    source: str, network: nn.Module, config: Any, *, longest: int, overlaps: int
) -> dict[str, Any]:
    """Return the arguments, except `model`, for the trained `WindowedEncoder` in the checkpoint `source`.

    If the checkpoint records no lengths, windows have at most `longest` tokens, and neighbouring windows share
    1 / `overlaps` of their tokens.
    """
    tokenizer, facts = read_tokenizer(source, config), read_facts(config)
    max_length = facts.get("max_length") or min(longest, longest_input(network, tokenizer))
    return {
        "tokenizer": tokenizer,
        "max_length": max_length,
        "stride": facts.get("stride", max_length // overlaps),
        "prefix": facts.get("prefix", ""),
        **origin_fields(facts, source),
    }


def _stride(stride: int | None, longest: int) -> int:
    """Return the overlap of neighbouring windows in tokens: `stride`, or a third of `longest` if `stride` is None.

    `longest` is the length of a window. Raises CheckpointError if `stride` is too large for this length.
    """
    if stride is None:
        return longest // 3
    if stride >= longest - 3:  # three special tokens around a question and its context
        raise CheckpointError(
            f"train.stride is {stride}, but the base reads {longest} tokens at once; set it below {longest - 3}"
        )
    return stride
