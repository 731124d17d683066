"""What an export did, for people and for `--json`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftool_export.gate import Verdict
from ftool_runtime.bundle.manifest import FileRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """What an export did.

    Attributes:
        bundle: the folder written; None where the gate said no, and nothing was replaced.
        precision: the precision's name.
        attention: "fused" or "plain".
        left_out: layers that the precision had to leave out for the gate to pass: in 8-bit blocks (int8) or fp32 (w8).
        files: every file of the bundle but its manifest.
        verdict: what the gate said.
        largest_logit_difference: of the fp32 graph from torch, over all probes.
        advice: what to try where the gate said no, and what was not judged; None where there is nothing to say.
    """

    bundle: Path | None
    precision: str
    attention: str
    left_out: tuple[str, ...]
    files: Mapping[str, FileRecord]
    verdict: Verdict
    largest_logit_difference: float
    advice: str | None

    @property
    def bytes(self) -> int:
        """The bundle's size, its manifest left out."""
        return sum(record.bytes for record in self.files.values())

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "bundle": str(self.bundle) if self.bundle else None,
            "precision": self.precision,
            "attention": self.attention,
            "left_out": list(self.left_out),
            "bytes": self.bytes,
            "files": [{"path": path, "bytes": record.bytes} for path, record in self.files.items()],
            "gate": self.verdict.to_json(),
            "largest_logit_difference": self.largest_logit_difference,
            "advice": self.advice,
        }
