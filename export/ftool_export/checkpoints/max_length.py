"""How many tokens a checkpoint's encoder can read."""

from typing import Any

from torch import nn


def longest_input(encoder: nn.Module, tokenizer: Any, stated: int | None = None) -> int:
    """Tokens at most, special ones included, by the tokenizer, the position table and what files `stated`."""
    limits = [int(tokenizer.model_max_length)]  # 1e30 where unknown
    config: Any = encoder.config
    positions = getattr(config, "max_position_embeddings", None)
    if positions:
        limits.append(int(positions) - _first_position(encoder))
    if stated:
        limits.append(stated)
    return min(limits)


def _first_position(encoder: nn.Module) -> int:
    """Where positions start: RoBERTa's count from one past the padding id, which shortens its table."""
    for name, module in encoder.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            return 0 if module.padding_idx is None else module.padding_idx + 1
    return 0
