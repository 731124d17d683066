"""Capture a root-mean-square norm, which is six operators in PyTorch's graph, as one operator."""

from collections.abc import Callable
from functools import partial
from typing import Final

import torch
from torch import Tensor, nn

ROOT_MEAN_SQUARE: Final = "SimplifiedLayerNormalization"

_EPSILONS: Final = ("variance_epsilon", "eps", "epsilon")
_SAME: Final = 1e-5  # tolerance for numbers near 1: allows another order of summation


def root_mean_square(part: nn.Module) -> Callable[[Tensor], Tensor] | None:
    """Return a `forward` for a root-mean-square norm that emits one operator instead of six; None for other modules."""
    weight = getattr(part, "weight", None)
    if not type(part).__name__.endswith("Norm") or not isinstance(weight, Tensor) or weight.dim() != 1:
        return None
    epsilon = next((value for name in _EPSILONS if (value := getattr(part, name, None)) is not None), None)
    if epsilon is None or getattr(part, "bias", None) is not None:
        return None
    for offset in (0.0, 1.0):  # Gemma stores weights minus 1
        if _is_root_mean_square(part, weight + offset, epsilon):
            return partial(_emit_norm, weight, offset, float(epsilon))
    return None


def _is_root_mean_square(part: nn.Module, scale: Tensor, epsilon: float) -> bool:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for size in (1.0, epsilon**0.5):  # the second shows where epsilon is added
            numbers = torch.randn(3, scale.shape[0], generator=generator) * size + size
            norm = numbers * torch.rsqrt(numbers.pow(2).mean(-1, keepdim=True) + epsilon) * scale
            if not torch.allclose(part(numbers), norm, rtol=_SAME, atol=_SAME):
                return False
    return True


def _emit_norm(weight: Tensor, offset: float, epsilon: float, hidden: Tensor) -> Tensor:
    emitted: Tensor = torch.onnx.ops.symbolic(
        ROOT_MEAN_SQUARE,
        (hidden, weight + offset if offset else weight),
        attrs={"axis": -1, "epsilon": epsilon, "stash_type": 1},
        dtype=hidden.dtype,
        shape=hidden.shape,
        version=1,
    )
    return emitted
