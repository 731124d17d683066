"""Capture rotary position embeddings as one operator of ONNX Runtime, `RotaryEmbedding`, instead of six nodes.

Each architecture's module in transformers has a function `apply_rotary_pos_emb`, which takes the cosines and sines for
every token's position. The operator takes tables of these cosines and sines, so any scaling that the architecture
applied to them is kept.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn

OPERATOR: Final = "com.microsoft::RotaryEmbedding"

_NAME: Final = "apply_rotary_pos_emb"
_SAME: Final = 1e-5  # absolute tolerance of the comparison with the operator

Rotated = tuple[Tensor, Tensor]


@contextmanager
def rotary_at_the_source(model: nn.Module) -> Iterator[None]:
    """Within the block, let `model` emit one operator for every rotation; restore the model afterwards.

    An architecture's function `apply_rotary_pos_emb` is replaced only if a trial on random numbers shows that it
    rotates the two halves of each head, as the operator does.
    """
    names = {type(part).__module__ for part in model.modules()}
    modules = [sys.modules[name] for name in sorted(names) if hasattr(sys.modules[name], _NAME)]
    before = [(module, getattr(module, _NAME)) for module in modules]
    try:
        for module, usual in before:
            if _turns_halves(usual):
                setattr(module, _NAME, _Rotation())
        yield
    finally:
        for module, usual in before:
            setattr(module, _NAME, usual)


class _Rotation:
    """A replacement for `apply_rotary_pos_emb` that emits `RotaryEmbedding`.

    All layers with the same cosines and sines share one pair of lookup tables.
    """

    def __init__(self) -> None:
        self._tables: dict[int, tuple[Tensor, Tensor, Tensor, Tensor]] = {}

    def __call__(
        self, query: Tensor, key: Tensor, cosine: Tensor, sine: Tensor, *_: Any, **__: Any
    ) -> Rotated:
        """Return `query` and `key`, (batch, heads, time, head_dim), rotated by the angles of `cosine` and `sine`.

        `cosine` and `sine` are (batch, time, head_dim).
        """
        if id(cosine) not in self._tables:
            self._tables[id(cosine)] = (*_lookup_tables(query.shape[0], cosine, sine), cosine)
        positions, cosines, sines = self._tables[id(cosine)][:3]  # the fourth keeps the key's object alive
        return _rotate(query, positions, cosines, sines), _rotate(key, positions, cosines, sines)


def _lookup_tables(batch: int, cosine: Tensor, sine: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return each token's row number in the lookup tables, the table of cosines and the table of sines.

    The row numbers are int64 (batch, time), and the tables are float (batch * time, head_dim / 2).
    """
    time, half = cosine.shape[1], cosine.shape[2] // 2
    positions = torch.arange(batch * time).view(batch, time)
    rows = [table.expand(batch, -1, -1)[..., :half].reshape(batch * time, half) for table in (cosine, sine)]
    return positions, rows[0], rows[1]


def _rotate(states: Tensor, positions: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    batch, heads, time, head_dim = states.shape
    packed = states.transpose(1, 2).flatten(2)  # (batch, time, heads * head_dim)
    turned: Tensor = torch.onnx.ops.symbolic(
        OPERATOR,
        (packed, positions, cosines, sines),
        attrs={"interleaved": 0, "scale": 1.0},
        dtype=states.dtype,
        shape=packed.shape,
        version=1,
    )
    return turned.view(batch, time, heads, head_dim).transpose(1, 2)


def _turns_halves(function: Callable[..., Any]) -> bool:
    """Return whether `function`, tried on random numbers, rotates the two halves of each head as the operator does."""
    generator = torch.Generator().manual_seed(0)
    query, key = (torch.randn(2, heads, 3, 8, generator=generator) for heads in (4, 2))
    angles = torch.randn(2, 3, 4, generator=generator).repeat(1, 1, 2)
    try:
        result = function(query, key, angles.cos(), angles.sin())
    except (TypeError, RuntimeError):  # another signature, or other shapes
        return False
    return all(
        torch.allclose(turned, _by_halves(states, angles[:, None]), atol=_SAME)
        for turned, states in zip(result, (query, key), strict=True)
    )


def _by_halves(states: Tensor, angles: Tensor) -> Tensor:
    left, right = states.chunk(2, dim=-1)
    return states * angles.cos() + torch.cat([-right, left], dim=-1) * angles.sin()
