"""Graph passes: one rewrite a file, all of one shape.

`apply(model, settings) -> PassResult(model, changed)` rewrites the model it is given, in place, and says in how many
places. A pass keeps what the graph computes, up to floating-point order, or up to quantisation where that is its job.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Protocol

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ftool_export.errors import ExportError

MICROSOFT: Final = "com.microsoft"
MICROSOFT_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class PassResult:
    """The rewritten model, and in how many places it was rewritten."""

    model: ir.Model
    changed: int


@dataclass(frozen=True, kw_only=True)
class PassSettings:
    """What the passes leave alone, and how fine they quantise."""

    left_out: frozenset[str] = frozenset()  # layers, by name, that the precision's own pass leaves alone
    device: str = "cpu"  # where the graph is to be fast
    smallest: int = 65_536  # weights of products with fewer elements stay in fp32: nothing to gain
    smallest_table: int = 1_048_576  # likewise for tables; those of positions are read fastest as they are
    block_size: int = 32  # most inputs that share a scale in 8-bit blocks; fewer where it divides no product
    # Largest absolute value of each input channel, float32 (inputs,), by the weight's name.
    activation_peaks: Mapping[str, NDArray[np.float32]] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        if self.smallest < 1:
            raise ExportError(f"smallest must be at least 1 element, got {self.smallest}")
        if self.block_size < 16 or self.block_size & (self.block_size - 1):
            raise ExportError(f"block_size must be a power of two from 16 on, got {self.block_size}")


class GraphPass(Protocol):
    """A module of this package."""

    def apply(self, model: ir.Model, settings: PassSettings) -> PassResult:
        """Rewrite `model`."""
        ...


def use_microsoft_operators(model: ir.Model) -> None:
    """Declare that the graph uses ONNX Runtime's own operators."""
    model.graph.opset_imports.setdefault(MICROSOFT, MICROSOFT_VERSION)
