"""Reports of an export and of a parity run, as Python objects and for `--json`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from ftool_export.examples.base import Examination
from ftool_export.gate import Check, Verdict, agreement_checks, at_least, at_most
from ftool_export.tolerances import Tolerance
from ftool_runtime.bundle.manifest import FileRecord

_HALF_A_STEP: Final = 0.5 + 1e-3  # half a step, plus rounding in the division by the scale
_SAME_CONSTANT: Final = 1e-6  # relative; constants that tidying computes may be rounded differently


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """The result of an export.

    Attributes:
        bundle: the folder written; None if the bundle failed the gate and nothing was replaced.
        precision: the precision's name.
        attention: "fused" or "plain".
        left_out: the layers that had to be left out for the gate to pass; they are in 8-bit blocks (int8) or fp32 (w8).
        files: every file of the bundle except its manifest.
        verdict: the gate's verdict.
        largest_logit_difference: the fp32 graph's largest difference from torch, over all probes.
        advice: a remedy if the bundle failed the gate, and a note if quality was not measured; None otherwise.
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
        """The bundle's size without its manifest."""
        return sum(record.bytes for record in self.files.values())

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON."""
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


@dataclass(frozen=True, slots=True)
class ShapeDifference:
    """The largest difference of a logit from torch's for one shape of the grid."""

    shape: str
    logit_difference: float


@dataclass(frozen=True, slots=True)
class WorstInput:
    """The input for which the bundle's answer differs most from the checkpoint's."""

    row: int
    given: str
    probability_difference: float

    def to_json(self) -> dict[str, Any]:
        """Return the input and its difference as plain JSON."""
        return {
            "row": self.row,
            "input": self.given,
            "probability_difference": self.probability_difference,
        }


@dataclass(frozen=True, slots=True)
class StoredWeights:
    """Differences between a bundle's constants and those that its checkpoint gives when it is exported again.

    Attributes:
        constant_error: the largest difference of a float32 constant, relative to the largest value of its array.
        weight_error: the largest difference between a quantised weight and the checkpoint's, in steps of its own scale;
            None for fp32, as are the next two.
        rounding: the root mean square difference between the two graphs' outputs, such as logits, on some inputs.
        rounding_limit: the largest value of `rounding` that another processor's rounding explains.
    """

    constant_error: float
    weight_error: float | None = None
    rounding: float | None = None
    rounding_limit: float | None = None

    def checks(self) -> list[Check]:
        """Return the differences with their limits. Rounding to the nearest step differs by at most half a step."""
        limits = (
            ("weight_error", self.weight_error, _HALF_A_STEP),
            ("constant_error", self.constant_error, _SAME_CONSTANT),
            ("rounding", self.rounding, self.rounding_limit),
        )
        return [
            at_most(name, value, limit)
            for name, value, limit in limits
            if value is not None and limit is not None
        ]


@dataclass(frozen=True, slots=True)
class MetricPair:
    """The main metric of torch and of the bundle on the same inputs.

    Attributes:
        metric: the metric's name.
        reference: torch's score.
        bundle: the bundle's score.
        max_drop: how far the bundle's score may lie below torch's: the limit of its export. None for fp32, whose
            answers must all be the same.
        allowance: the difference that sampling error may cause: one standard error.
    """

    metric: str
    reference: float
    bundle: float
    max_drop: float | None
    allowance: float

    @property
    def drop(self) -> float:
        """How far the bundle's score lies below torch's; below 0 if it is better."""
        return self.reference - self.bundle

    def to_json(self) -> dict[str, Any]:
        """Return both scores and their difference as plain JSON."""
        return {
            "name": self.metric,
            "reference": self.reference,
            "bundle": self.bundle,
            "drop": self.drop,
            "allowance": self.allowance,
        }


@dataclass(frozen=True, kw_only=True)
class ParityReport:
    """All differences that a parity run measured, with their limits.

    Attributes:
        precision: the bundle's precision.
        same_weights: whether the bundle was made from the weights that the checkpoint has now; None if its manifest
            does not say.
        found: the differences between answers. For generators these are the differences for each token of torch's
            greedy answers, predicted after torch's preceding tokens; logits are also compared step by step on the
            caches.
        grid: differences by shape: single and batched, short and long, padded and not; empty for generators.
        worst: the input with the largest difference; None for generators.
        metric: both scores; None for inputs without labels.
        tolerance: the limits against torch.
        stored: the comparison of the bundle's constants with those of another export.
    """

    precision: str
    same_weights: bool | None
    found: Examination
    grid: tuple[ShapeDifference, ...]
    worst: WorstInput | None
    metric: MetricPair | None
    tolerance: Tolerance
    stored: StoredWeights

    @property
    def examples(self) -> int:
        """The number of inputs that both answered."""
        return self.found.comparison.examples

    @property
    def agreement(self) -> float:
        """The share of answers, or of next tokens, that are the same."""
        return self.found.comparison.agreement

    @property
    def batch_effect(self) -> float:
        """The largest change of a probability between an input run singly and in a batch."""
        return self.found.batch_effect

    @property
    def logit_difference(self) -> float:
        """The largest difference between the bundle's and torch's network outputs, such as logits."""
        return self.found.comparison.output_difference

    @property
    def max_difference(self) -> float:
        """The largest difference: of a logit for fp32 (grid included), of a probability for quantised precisions."""
        if self.precision != "fp32":
            return self.found.comparison.probability_difference
        return max(self.logit_difference, *(shape.logit_difference for shape in self.grid), 0.0)

    @property
    def checks(self) -> tuple[Check, ...]:
        """Every difference that has a limit. Whole generated answers have a limit only in fp32."""
        limit = self.tolerance
        agreement, _ = agreement_checks(self.found.comparison, self.precision, limit)
        checks = [
            agreement,
            at_most("max_difference", self.max_difference, limit.max_difference),
            at_most("batch_effect", self.batch_effect, limit.batch_effect),
        ]
        if self.same_weights is not None:
            checks.append(at_least("same_weights", float(self.same_weights), 1.0))
        if self.metric is not None and self.metric.max_drop is not None:
            allowed = self.metric.max_drop + self.metric.allowance
            checks.append(at_most("metric_drop", self.metric.drop, allowed))
        checks += self.stored.checks()
        if self.precision == "fp32":
            checks += [at_least(name, same.share, 1.0) for name, same in self.found.whole_answers.items()]
        return tuple(checks)

    @property
    def passed(self) -> bool:
        """Whether every difference that parity measured is within its limit."""
        return all(check.passed for check in self.checks)

    def notes(self) -> list[str]:
        """Return remarks that supplement the checks, one per line."""
        lines = []
        if self.worst is not None:
            distance, given, row = self.worst.probability_difference, self.worst.given, self.worst.row
            lines.append(f"furthest apart, by {distance:.3f}: {given} (example {row + 1})")
        for name, same in self.found.whole_answers.items():
            lines.append(
                f"{name}: {same.same} of {same.answers} answers have the same tokens; {same.ties} differ at a tie"
            )
        if self.found.changed_by_batch is not None:
            lines.append(
                f"{self.found.comparison.count} tokens compared; {self.found.changed_by_batch} answers differ between "
                "single and batched"
            )
        return lines

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON, without the keys that do not apply to its kind of answer."""
        found = self.found
        return {
            "passed": self.passed,
            "precision": self.precision,
            "examples": self.examples,
            "agreement": self.agreement,
            "max_difference": self.max_difference,
            "batch_effect": self.batch_effect,
            "tolerance": {check.name: check.limit for check in self.checks},
            "failed": [check.name for check in self.checks if not check.passed],
            "logit_difference": self.logit_difference,
            "probability_difference": found.comparison.probability_difference,
            "stored": asdict(self.stored),
            "metric": None if self.metric is None else self.metric.to_json(),
            **self._of_encoders(),
            **self._of_generators(),
        }

    def _of_encoders(self) -> dict[str, Any]:
        if self.worst is None:
            return {}
        grid = [{"shape": one.shape, "logit_difference": one.logit_difference} for one in self.grid]
        return {"grid": grid, "worst": self.worst.to_json()}

    def _of_generators(self) -> dict[str, Any]:
        if not self.found.whole_answers:
            return {}
        return {
            "tokens": self.found.comparison.count,
            "ties": self.found.ties,
            **{name: same.to_json() for name, same in self.found.whole_answers.items()},
            "changed_by_company": self.found.changed_by_batch,
        }
