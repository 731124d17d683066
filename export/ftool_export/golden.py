"""`golden.json`: texts with the logits they must get, for `verify` on the machine where the bundle runs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from ftool_export.guards import FP32_TOLERANCE
from ftool_runtime.bundle_paths import GOLDEN_FILE

_TEXTS: Final = 16


@dataclass(frozen=True, slots=True)
class Golden:
    """What `golden.json` holds.

    Attributes:
        source: whose logits they are: torch's, or the bundle's own as exported.
        tolerance: how far a logit may lie from them on another machine.
        texts: some texts, of all lengths.
        logits: float32 (texts, labels).
    """

    source: Literal["torch", "bundle"]
    tolerance: float
    texts: tuple[str, ...]
    logits: NDArray[np.float32]

    def write(self, folder: Path) -> None:
        """Write `golden.json` into `folder`. Raises OSError as writing does."""
        (folder / GOLDEN_FILE).write_text(
            json.dumps(self.to_json(), ensure_ascii=False, allow_nan=False), encoding="utf-8"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "source": self.source,
            "tolerance": self.tolerance,
            "texts": list(self.texts),
            "logits": self.logits.astype(float).tolist(),
        }


def choose_texts(texts: Sequence[str]) -> tuple[str, ...]:
    """At most 16 different texts, from the shortest to the longest in even steps."""
    some = sorted(dict.fromkeys(text for text in texts if text.strip()), key=len)
    if len(some) <= _TEXTS:
        return tuple(some)
    places = np.linspace(0, len(some) - 1, _TEXTS).round().astype(int)
    return tuple(some[place] for place in places)


def make_golden(
    texts: Sequence[str], reference: NDArray[np.float32], bundle: NDArray[np.float32], *, quantized: bool
) -> Golden:
    """Torch's logits for fp32; for the quantised precisions the bundle's own.

    Another CPU may round an activation the other way, so a quantised bundle's logits may move there, but by no more
    than quantisation moved them in the first place.

    Args:
        texts: what both were given.
        reference: torch's, float32 (texts, labels).
        bundle: the bundle's, likewise.
        quantized: which of the two is golden.
    """
    if not quantized:
        return Golden("torch", FP32_TOLERANCE, tuple(texts), reference)
    moved = float(np.abs(bundle - reference).max())
    return Golden("bundle", max(moved, FP32_TOLERANCE), tuple(texts), bundle)
