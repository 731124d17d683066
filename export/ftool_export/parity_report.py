"""What a parity run found, each difference beside its tolerance."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from ftool_export.checkpoints.pretrained import weights_sha256
from ftool_export.gate import ROUNDING
from ftool_export.tolerances import Tolerance
from ftool_runtime.bundle.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Check:
    """One difference and its limit."""

    name: str
    value: float
    limit: float
    passed: bool


@dataclass(frozen=True, slots=True)
class ShapeDifference:
    """The largest difference of a logit from torch's for one shape of the grid."""

    shape: str
    logit_difference: float


@dataclass(frozen=True, slots=True)
class WorstInput:
    """The input on which bundle and reference are furthest apart."""

    row: int
    given: str
    probability_difference: float


@dataclass(frozen=True, slots=True)
class MetricPair:
    """The main metric of torch and of the bundle on the same texts.

    Attributes:
        metric: its name.
        reference: torch's.
        bundle: the bundle's.
        allowance: one standard error of their difference: with few texts, chance alone makes one this large.
    """

    metric: str
    reference: float
    bundle: float
    allowance: float

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "name": self.metric,
            "reference": self.reference,
            "bundle": self.bundle,
            "drop": self.reference - self.bundle,
            "allowance": self.allowance,
        }


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What is compared of every bundle, whatever its task.

    Attributes:
        precision: the bundle's precision.
        same_weights: whether the bundle was made from the weights that the checkpoint has now; None: it does not say.
        examples: how many both answered.
        agreement: share of answers, or of next tokens, that are the same.
        logit_difference: the largest.
        probability_difference: the largest.
        batch_effect: the largest difference of a probability between an input alone and in company.
        metric: None where there were no right answers.
        tolerance: the limits.
    """

    precision: str
    same_weights: bool | None
    examples: int
    agreement: float
    logit_difference: float
    probability_difference: float
    batch_effect: float
    metric: MetricPair | None
    tolerance: Tolerance

    @property
    def max_difference(self) -> float:
        """Of a logit for fp32; of a probability for the quantised precisions."""
        return self.logit_difference if self.precision == "fp32" else self.probability_difference

    @property
    def checks(self) -> tuple[Check, ...]:
        """Every difference that has a limit."""
        limit = self.tolerance
        found = [
            at_least("agreement", self.agreement, limit.agreement),
            at_most("max_difference", self.max_difference, limit.max_difference),
            at_most("batch_effect", self.batch_effect, limit.batch_effect),
        ]
        if self.same_weights is not None:
            found.append(at_least("same_weights", float(self.same_weights), 1.0))
        if self.metric is not None and limit.drop is not None:
            lost = self.metric.reference - self.metric.bundle
            found.append(at_most("metric_drop", lost, limit.drop + self.metric.allowance))
        return tuple(found)

    @property
    def passed(self) -> bool:
        """Whether every difference is within its limit."""
        return all(check.passed for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
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
            "probability_difference": self.probability_difference,
            "metric": None if self.metric is None else self.metric.to_json(),
        }


@dataclass(frozen=True, kw_only=True)
class ParityReport(Comparison):
    """Everything that was compared of an encoder's bundle.

    Attributes:
        grid: batch 1 and n, length 1 and maximum, padded and not.
        worst: where the two are furthest apart.
    """

    grid: tuple[ShapeDifference, ...]
    worst: WorstInput

    @property
    def max_difference(self) -> float:
        """Of a logit for fp32, grid included; of a probability for the quantised precisions."""
        if self.precision != "fp32":
            return self.probability_difference
        return max(self.logit_difference, *(shape.logit_difference for shape in self.grid))

    def notes(self) -> list[str]:
        """What a person should know besides the checks."""
        worst = self.worst
        return [
            f"furthest apart, by {worst.probability_difference:.3f}: {worst.given} (example {worst.row + 1})"
        ]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return super().to_json() | {
            "grid": [{"shape": s.shape, "logit_difference": s.logit_difference} for s in self.grid],
            "worst": {
                "row": self.worst.row,
                "input": self.worst.given,
                "probability_difference": self.worst.probability_difference,
            },
        }


def made_from(manifest: Manifest, model: nn.Module) -> bool | None:
    """Whether a bundle was made from the weights that `model` has; None where its manifest does not say."""
    recorded = manifest.evidence.get("checkpoint_sha256")
    return None if recorded is None else bool(recorded == weights_sha256(model))


def at_least(name: str, value: float, limit: float) -> Check:
    """A check that passes down to its limit."""
    return Check(name, value, limit, value >= limit)


def at_most(name: str, value: float, limit: float) -> Check:
    """A check that passes up to its limit."""
    return Check(name, value, limit, value <= limit + ROUNDING)
