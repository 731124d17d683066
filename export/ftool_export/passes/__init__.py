"""Graph passes: one rewrite per file, each a class derived from onnx_ir's `InPlacePass`.

A pass is constructed with the settings it needs and called with a model: `QuantizeBlocks(settings)(model)` rewrites the
model in place and returns an `ir.passes.PassResult`, whose `modified` is False if nothing was rewritten. A pass
preserves what the graph computes, up to floating-point order, or up to quantisation if that is its purpose. Passes are
idempotent: a second call modifies nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Self

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ftool_export.errors import ExportError
from ftool_runtime.bundle.precisions import EMBEDDING_BITS, LAYOUTS, LayoutName

MICROSOFT: Final = "com.microsoft"
MICROSOFT_VERSION: Final = 1
_RECORDED: Final = ("smallest", "smallest_table", "block_size", "pooled_token", "device")


@dataclass(frozen=True, kw_only=True)
class PassSettings:
    """Settings that the passes of one export share. Raises ExportError for invalid values."""

    left_out: frozenset[str] = frozenset()  # names of layers that the precision's own pass leaves alone
    in_fp32: frozenset[str] = frozenset()  # those of them that the pass for layers left out leaves alone too
    device: str = "cpu"  # the device that the graph is optimised for
    smallest: int = 65_536  # products whose weight has fewer elements stay in fp32, because they gain nothing
    smallest_table: int = 1_048_576  # tables with fewer elements, such as positions, are fastest in fp32
    block_size: int = 32  # the most inputs that share a scale in 8-bit blocks; a power of two
    embedding_bits: int = 8  # of a number in embedding tables that are quantised: 8, or 4
    pooled_token: bool = True  # whether the last layer is computed only for the token that is pooled
    layout: LayoutName = "ftool"  # "standard": the graph keeps its mask, and gives what other libraries read
    teachable: bool = (
        False  # whether the graph also gives the input of the head, so that the head can be taught
    )
    # By the name of a weight, by which powers of two the channels that its product reads are divided, int8 (channels,).
    moved: Mapping[str, NDArray[np.int8]] = field(default_factory=lambda: MappingProxyType({}))
    # By the name of each weight that is smoothed, the multiplier of each input channel, float32 (inputs,).
    smoothing: Mapping[str, NDArray[np.float32]] = field(default_factory=lambda: MappingProxyType({}))
    # By the name of each weight that is rounded with error feedback, XᵀX of its products' inputs X, float32 (inputs,
    # inputs). Other weights are rounded to the nearest level.
    grams: Mapping[str, NDArray[np.float32]] = field(default_factory=lambda: MappingProxyType({}))
    # By the name of each weight, the levels of its products' input: the step, float32, and the integer that represents
    # 0, uint8. Only passes with constant activation scales read them.
    inputs: Mapping[str, tuple[NDArray[np.float32], NDArray[np.uint8]]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    # By name, levels of products' weights that an earlier export has found with error feedback, which are taken where
    # they are the nearest levels or their neighbours.
    levels: Mapping[str, NDArray[Any]] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        if self.smallest < 1:
            raise ExportError(f"smallest must be at least 1 element, got {self.smallest}")
        if self.block_size < 16 or self.block_size & (self.block_size - 1):
            raise ExportError(f"block_size must be a power of two from 16 on, got {self.block_size}")
        if self.embedding_bits not in EMBEDDING_BITS:
            raise ExportError(f"embedding_bits must be 8 or 4, got {self.embedding_bits}")
        if self.layout not in LAYOUTS:
            raise ExportError(f"layout must be {' or '.join(LAYOUTS)}, got {self.layout!r}")

    def to_json(self) -> dict[str, Any]:
        """Return the settings to record in a bundle's evidence, so that the bundle's graphs can be derived again."""
        moved = {name: _nonzero(exponents) for name, exponents in self.moved.items()}
        return {**{name: getattr(self, name) for name in _RECORDED}, "moved": moved}

    @classmethod
    def recorded(cls, values: Mapping[str, Any] | None) -> Self | None:
        """Return the settings recorded as `values` in a bundle's evidence.

        Older bundles have no such record; for them `values` is None, and so is the result.
        """
        if values is None:
            return None
        moved = {name: _dense(pairs) for name, pairs in values.get("moved", {}).items()}
        older = {"pooled_token": False, "device": "cpu", **values}
        return cls(**{name: older[name] for name in _RECORDED}, moved=moved)


def _nonzero(exponents: NDArray[np.int8]) -> dict[str, Any]:
    """Return an array, most of whose numbers are 0, as its length and the others by their position."""
    others = {str(place): int(exponents[place]) for place in np.flatnonzero(exponents)}
    return {"channels": len(exponents), "exponents": others}


def _dense(recorded: Mapping[str, Any]) -> NDArray[np.int8]:
    """Return the array that `_nonzero` recorded."""
    exponents = np.zeros(recorded["channels"], dtype=np.int8)
    for place, exponent in recorded["exponents"].items():
        exponents[int(place)] = exponent
    return exponents


def use_microsoft_operators(model: ir.Model) -> None:
    """Declare in the graph's opset imports that the graph uses ONNX Runtime's own operators."""
    model.graph.opset_imports.setdefault(MICROSOFT, MICROSOFT_VERSION)
