"""`golden.json`: texts with the logits they must give, to prove a bundle on the machine where it runs."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal, cast

from ftool_runtime.atomic import replacing
from ftool_runtime.bundle_paths import GOLDEN_FILE, path_inside
from ftool_runtime.errors import BundleError
from ftool_runtime.json_fields import Fields

SOURCES: Final = ("torch", "bundle")


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """Texts and the logits they must give.

    Attributes:
        source: whose logits they are: torch's (fp32 bundles) or the bundle's own, as exported (other precisions).
        tolerance: the largest absolute difference of a logit that passes.
        texts: what went in, one at a time.
        logits: what came out, (texts, labels).
    """

    source: Literal["torch", "bundle"]
    tolerance: float
    texts: tuple[str, ...]
    logits: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise BundleError(f"source must be one of {', '.join(SOURCES)}, got {self.source!r}")
        if not self.tolerance > 0:
            raise BundleError(f"tolerance must be above 0, got {self.tolerance}")
        if not self.texts or len(self.texts) != len(self.logits):
            raise BundleError(f"{len(self.texts)} texts and {len(self.logits)} rows of logits")
        if len({len(row) for row in self.logits}) != 1:
            raise BundleError("rows of logits differ in length")

    @classmethod
    def read(cls, folder: Path) -> "Golden":
        """The golden texts of the bundle in `folder`. Raises BundleError where the file is missing or damaged."""
        path = path_inside(folder, GOLDEN_FILE)
        try:
            return cls._from_json(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RecursionError, BundleError) as error:
            raise BundleError(f"can't use {path}: {error}") from error

    @classmethod
    def _from_json(cls, value: object) -> "Golden":
        top = Fields(value, "it")
        rows = top.array("logits", cast(type[Sequence[float]], list))
        return cls(
            source=cast(Literal["torch", "bundle"], top.required("source", str)),
            tolerance=top.required("tolerance", float),
            texts=top.array("texts", str),
            logits=tuple(tuple(float(number) for number in row) for row in rows),
        )

    def write(self, folder: Path) -> None:
        """Write `golden.json` into `folder`, whole or not at all. Raises OSError as writing does."""
        with replacing(folder / GOLDEN_FILE) as file:
            json.dump(asdict(self), file, ensure_ascii=False, allow_nan=False)
            file.write("\n")
