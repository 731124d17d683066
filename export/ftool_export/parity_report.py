"""What a parity run found, each difference beside its tolerance."""

from dataclasses import dataclass
from typing import Any

from ftool_export.gate import ROUNDING
from ftool_export.tolerances import Tolerance


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityReport:
    """Everything that was compared.

    Attributes:
        precision: the bundle's precision.
        examples: inputs compared.
        agreement: share of answers that are the same.
        logit_difference: the largest, over all texts and labels.
        probability_difference: likewise, of a probability.
        batch_effect: the largest difference of a probability between a text alone and in company.
        grid: batch 1 and n, length 1 and maximum, padded and not.
        metric: None where the texts had no labels.
        worst: where the two are furthest apart.
        tolerance: the limits.
    """

    precision: str
    examples: int
    agreement: float
    logit_difference: float
    probability_difference: float
    batch_effect: float
    grid: tuple[ShapeDifference, ...]
    metric: MetricPair | None
    worst: WorstInput
    tolerance: Tolerance

    @property
    def max_difference(self) -> float:
        """Of a logit for fp32, grid included; of a probability for the quantised precisions."""
        if self.precision != "fp32":
            return self.probability_difference
        return max(self.logit_difference, *(shape.logit_difference for shape in self.grid))

    @property
    def checks(self) -> tuple[Check, ...]:
        """Every difference that has a limit."""
        limit = self.tolerance
        found = [
            Check("agreement", self.agreement, limit.agreement, self.agreement >= limit.agreement),
            at_most("max_difference", self.max_difference, limit.max_difference),
            at_most("batch_effect", self.batch_effect, limit.batch_effect),
        ]
        if self.metric is not None and limit.drop is not None:
            lost = self.metric.reference - self.metric.bundle
            found.append(at_most("metric_drop", lost, limit.drop + self.metric.allowance))
        return tuple(found)

    @property
    def passed(self) -> bool:
        """Whether every difference is within its limit."""
        return all(check.passed for check in self.checks)

    def notes(self) -> list[str]:
        """What a person should know besides the checks."""
        worst = self.worst
        return [
            f"furthest apart, by {worst.probability_difference:.3f}: {worst.given} (example {worst.row + 1})"
        ]

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
            "metric": metric_json(self.metric),
            "grid": [{"shape": s.shape, "logit_difference": s.logit_difference} for s in self.grid],
            "worst": {
                "row": self.worst.row,
                "input": self.worst.given,
                "probability_difference": self.worst.probability_difference,
            },
        }


def metric_json(pair: MetricPair | None) -> dict[str, Any] | None:
    """A pair of metrics as plain JSON values."""
    if pair is None:
        return None
    return {
        "name": pair.metric,
        "reference": pair.reference,
        "bundle": pair.bundle,
        "drop": pair.reference - pair.bundle,
        "allowance": pair.allowance,
    }


def at_most(name: str, value: float, limit: float) -> Check:
    """A check that passes up to its limit."""
    return Check(name, value, limit, value <= limit + ROUNDING)
