"""`DecoderGraph`: a loaded decoder graph, with its caches and sizes as read from the graph's inputs and outputs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.bundle.manifest import GenerationContract, Precision
from ftool_runtime.errors import BundleError
from ftool_runtime.session.huge_pages import huge_pages
from ftool_runtime.session.onnx_session import OnnxSession, SessionSettings

PAST: Final = "past."
CROSS: Final = "cross."
LOGITS: Final = "logits"

_KNOWN: Final = {
    "in_place": {
        "input_ids",
        "position_ids",
        "positions",
        "source_mask",
        "seqlens_k",
        "total_length",
        "logits_at",
    },
    "joined": {"input_ids", "attention_mask", "position_ids", "source_mask", "logits_at"},
}
_NEEDED: Final = {"in_place": {"input_ids", "seqlens_k", "total_length"}, "joined": {"input_ids"}}
_TYPES: Final = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}


@dataclass(frozen=True, slots=True)
class CacheShape:
    """A key or value cache of the graph: the name of its input without "past.", and its fixed sizes."""

    name: str  # such as "0.key"
    heads: int
    head_dim: int

    @property
    def past(self) -> str:
        """The name of the graph's input for the cache."""
        return PAST + self.name

    @property
    def present(self) -> str:
        """The name of the graph's output for the cache."""
        return "present." + self.name


class DecoderGraph:
    """A loaded decoder graph and the sizes of its caches. Thread-safe.

    Attributes:
        session: the loaded graph.
        contract: the manifest's description of the graph.
        caches: the key and value caches, in the order of the graph's inputs.
        cross: the names of the inputs for the source's keys and values; empty for decoders without an encoder.
        vocabulary: the number of logits for each position.
    """

    def __init__(
        self, path: Path, contract: GenerationContract, precision: Precision, settings: SessionSettings
    ) -> None:
        """Load the graph at `path`.

        Raises BundleError if the graph does not match the contract, and the errors of OnnxSession.
        """
        with huge_pages():  # every step reads all weights
            self.session = OnnxSession(path, settings, precision.devices)
        self.contract = contract
        names = self.session.input_names
        self.cross = tuple(name for name in names if name.startswith(CROSS))
        self.caches = tuple(self._cache(name, path) for name in names if name.startswith(PAST))
        self._check(path)
        vocabulary = self.session.shapes[LOGITS][-1] if len(self.session.shapes[LOGITS]) == 3 else None
        if not isinstance(vocabulary, int):
            raise BundleError(f"{path} has logits of unknown size; export the bundle again")
        self.vocabulary = vocabulary

    def takes(self, name: str) -> bool:
        """Return whether the graph has an input (or output) with this name."""
        return name in self.session.shapes

    def integers(self, name: str, values: NDArray[np.integer]) -> NDArray[np.integer]:
        """Return `values` in the integer type of the graph's input `name`."""
        return values.astype(_TYPES[self.session.types[name]], copy=False)

    def _cache(self, name: str, path: Path) -> CacheShape:
        shape = self.session.shapes[name]
        heads, head_dim = (shape[1], shape[3]) if len(shape) == 4 else (None, None)
        if not isinstance(heads, int) or not isinstance(head_dim, int):
            raise BundleError(
                f"{path}: {name} has the shape {list(shape)}; its second and fourth size must be known"
            )
        return CacheShape(name.removeprefix(PAST), heads, head_dim)

    def _check(self, path: Path) -> None:
        kind = self.contract.caches
        inputs = {name for name in self.session.input_names if not name.startswith((PAST, CROSS))}
        outputs = {LOGITS, *(cache.present for cache in self.caches)}
        if not _NEEDED[kind] <= inputs <= _KNOWN[kind] or not outputs <= set(self.session.output_names):
            raise BundleError(
                f"{path} takes {sorted(inputs)} and {len(self.caches)} caches and gives "
                f"{len(self.session.output_names)} outputs, which is not a decoder with caches {kind!r}; "
                "export the bundle again"
            )
        caches = (name for cache in self.caches for name in (cache.past, cache.present))
        self.session.check_types(path, inputs, (LOGITS, *caches, *self.cross))
        if bool(self.cross) != (self.contract.family == "encoder-decoder") or not self.caches:
            raise BundleError(
                f"{path} has {len(self.caches)} caches and {len(self.cross)} of a source; "
                f"the manifest says {self.contract.family!r}"
            )
