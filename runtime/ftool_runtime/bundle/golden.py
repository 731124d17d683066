"""`golden.json`: inputs with what the graph must say of them, to prove a bundle on the machine where it runs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.atomic import replacing
from ftool_runtime.bundle.paths import GOLDEN_FILE, path_inside
from ftool_runtime.errors import BundleError
from ftool_runtime.schema import JSON
from ftool_runtime.session.encoder_engine import Outputs

SOURCES: Final = ("torch", "bundle")
_DIGITS: Final = 6  # after the point; far below any tolerance


@dataclass(frozen=True, slots=True, kw_only=True)
class _Content:
    """The values of `golden.json`."""

    source: Literal["torch", "bundle"]
    tolerance: float
    inputs: tuple[Any, ...]
    outputs: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Golden:
    """Inputs and what the graph must say of them.

    Attributes:
        source: whose outputs they are: torch's (fp32 bundles) or the bundle's own, as exported (other precisions).
        tolerance: the largest absolute difference that passes.
        inputs: what went in, one at a time, as the model is called: JSON values.
        outputs: what came out: a float32 array for each row of each input, in order.
    """

    source: Literal["torch", "bundle"]
    tolerance: float
    inputs: Sequence[Any]
    outputs: Outputs

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise BundleError(f"source must be one of {', '.join(SOURCES)}, got {self.source!r}")
        if not self.tolerance > 0:
            raise BundleError(f"tolerance must be above 0, got {self.tolerance}")
        if not self.inputs or len(self.outputs) < len(self.inputs):
            raise BundleError(f"{len(self.inputs)} inputs and {len(self.outputs)} rows of outputs")
        if not all(np.isfinite(row).all() for row in self.outputs):
            raise BundleError("outputs must be finite numbers")

    @classmethod
    def read(cls, folder: Path) -> "Golden":
        """The golden inputs of the bundle in `folder`. Raises BundleError where the file is missing or damaged."""
        path = path_inside(folder, GOLDEN_FILE)
        try:
            content = JSON.build(_Content, json.loads(path.read_text(encoding="utf-8")))
            return cls(
                source=content.source,
                tolerance=content.tolerance,
                inputs=content.inputs,
                outputs=[np.asarray(row, dtype=np.float32) for row in content.outputs],
            )
        except (OSError, ValueError, TypeError, RecursionError, BundleError) as error:
            raise BundleError(f"can't use {path}: {error}") from error

    def write(self, folder: Path) -> None:
        """Write `golden.json` into `folder`, whole or not at all. Raises OSError as writing does."""
        values = {
            "source": self.source,
            "tolerance": self.tolerance,
            "inputs": list(self.inputs),
            "outputs": [
                np.round(np.asarray(row, dtype=np.float64), _DIGITS).tolist() for row in self.outputs
            ],
        }
        with replacing(folder / GOLDEN_FILE) as file:
            json.dump(values, file, ensure_ascii=False, allow_nan=False)
            file.write("\n")


def largest_difference(expected: Outputs, found: Outputs) -> float:
    """The largest absolute difference of two sets of outputs. Raises BundleError where their shapes differ."""
    shapes = [[np.shape(row) for row in rows] for rows in (expected, found)]
    if shapes[0] != shapes[1]:
        differing = (i for i, (a, b) in enumerate(zip(*shapes, strict=False)) if a != b)
        row = next(differing, min(map(len, shapes)))
        raise BundleError(
            f"the outputs differ in shape from row {row} on ({len(shapes[0])} and {len(shapes[1])} rows): the bundle "
            "cuts its inputs into other tokens; export it again"
        )
    differences = [_difference(a, b) for a, b in zip(expected, found, strict=True)]
    return float(np.max(differences, initial=0.0))  # NaN stays NaN


def _difference(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(np.abs(a.astype(np.float64) - b).max(initial=0.0))
