"""Simplify modules of a network during capture, so that they compute the same numbers with fewer operators.

In a decoding step of one token each operator has little work, so the overhead of every operator matters.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from ftool_export.capture.norms import root_mean_square


@contextmanager
def simplified(model: nn.Module) -> Iterator[None]:
    """Within the block, simplify GPT-2's Conv1D, T5's position bias and root-mean-square norms; restore all afterwards.

    A norm is simplified only if it computes the expected numbers in a trial.
    """
    changed: list[tuple[nn.Module, str]] = []
    try:
        for part in model.modules():
            for name, method in _simplified_methods(part).items():
                setattr(part, name, method)
                changed.append((part, name))
        yield
    finally:
        for part, name in changed:
            delattr(part, name)  # the class's own comes back


def _simplified_methods(part: nn.Module) -> dict[str, Callable[..., Tensor]]:
    if isinstance(part, Conv1D):
        return {"forward": partial(_linear, part)}
    if getattr(part, "has_relative_attention_bias", False) and hasattr(part, "_relative_position_bucket"):
        return {"compute_bias": partial(_distance_bias, part, _bias_by_distance(part))}
    norm = root_mean_square(part)
    return {} if norm is None else {"forward": norm}


def _linear(part: Conv1D, inputs: Tensor) -> Tensor:
    """Compute GPT-2's Conv1D, a linear layer, without the reshapes that transformers adds."""
    outputs: Tensor = inputs @ part.weight + part.bias
    return outputs


def _bias_by_distance(part: Any) -> Tensor:
    """Return T5's position bias for every distance from -farthest to farthest, (2 * farthest + 1, heads).

    `farthest` is the layer's relative_attention_max_distance; beyond it the bias does not change.
    """
    farthest = part.relative_attention_max_distance
    with torch.no_grad():
        buckets = part._relative_position_bucket(
            torch.arange(-farthest, farthest + 1),
            bidirectional=not part.is_decoder,
            num_buckets=part.relative_attention_num_buckets,
            max_distance=farthest,
        )
        table: Tensor = part.relative_attention_bias.weight[buckets].clone()
    return table


def _distance_bias(
    part: Any,
    table: Tensor,
    query_length: int,
    key_length: int,
    device: Any = None,  # noqa: ARG001 - the signature is T5's
    past_seen_tokens: Any = 0,
) -> Tensor:
    """Return T5's position bias, float (1, heads, query_length, key_length), looked up by distance in `table`.

    T5 itself computes the bucket of each distance with a logarithm, which the table makes unnecessary.
    """
    farthest = part.relative_attention_max_distance
    queries = torch.arange(query_length)[:, None] + past_seen_tokens
    distances = torch.arange(key_length)[None, :] - queries
    bias = nn.functional.embedding(distances.clamp(-farthest, farthest) + farthest, table)
    return bias.permute(2, 0, 1).unsqueeze(0)
