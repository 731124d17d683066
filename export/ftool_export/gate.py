"""The accuracy gate: limits on the loss that quantisation causes, measured on inputs outside the training data."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from ftool_export.examples.base import Comparison, Examples
from ftool_export.tolerances import Tolerance, chance_agreement, metric_allowance, tolerance_for

ROUNDING = 1e-9  # added to limits, because 0.93 - 0.92 is slightly more than 0.01 in binary


@dataclass(frozen=True, slots=True)
class Check:
    """A measured value, its limit, and whether the value passes."""

    name: str
    value: float
    limit: float
    passed: bool


def at_least(name: str, value: float, limit: float) -> Check:
    """Return a check that passes if `value` is at least `limit`."""
    return Check(name, value, limit, value >= limit - ROUNDING)


def at_most(name: str, value: float, limit: float) -> Check:
    """Return a check that passes if `value` is at most `limit`."""
    return Check(name, value, limit, value <= limit + ROUNDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The gate's result.

    Attributes:
        passed: whether the bundle may be written.
        judged: whether the inputs had labels; without labels only the agreement with torch is known.
        metric: the metric's name; None without labels.
        reference: torch's score.
        bundle: the bundle's score.
        max_drop: how far the bundle's score may lie below torch's.
        allowance: the additional drop that sampling error may cause: one standard error of the difference.
        examples: the number of inputs compared.
        agreement: the share of answers, or next tokens, that are the same.
        largest_difference: the largest difference of a probability, over all inputs.
        compared: "answers", or their parts; or "next tokens", each predicted after torch's preceding tokens.
        drift: the checks that `ftool parity` would fail on these inputs, after the allowance for sampling error; if
            there are any, the bundle is written only if `judge` was called with `allow_drift`.
    """

    passed: bool
    judged: bool
    metric: str | None = None
    reference: float | None = None
    bundle: float | None = None
    max_drop: float
    allowance: float = 0.0
    examples: int
    agreement: float
    largest_difference: float
    compared: Literal["answers", "next tokens"]
    drift: tuple[Check, ...] = ()

    @property
    def drop(self) -> float | None:
        """Torch's score minus the bundle's; negative if the bundle is better. None without labels."""
        return None if self.reference is None or self.bundle is None else self.reference - self.bundle

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as plain JSON."""
        return {**asdict(self), "drift": [check.name for check in self.drift], "drop": self.drop}

    def __str__(self) -> str:
        score = "" if self.drop is None else f"{self.metric} {self.bundle:.4f} against {self.reference:.4f}, "
        return f"{score}same {self.compared}: {self.agreement:.2%} over {self.examples} examples"


def judge(
    loaded: Any,
    model: Any,
    examples: Examples,
    *,
    precision: str,
    max_drop: float,
    allow_drift: bool = False,
) -> Verdict:
    """Compare a model with torch on examples outside the training data.

    Args:
        loaded: the checkpoint, whose answers are computed once for the same `examples`.
        model: a bundle loaded by the runtime, or any object with the same methods.
        examples: the inputs that both answer.
        precision: the model's precision, which determines the limits.
        max_drop: the largest absolute drop of the metric, before the allowance for sampling error.
        allow_drift: whether the verdict may pass if `ftool parity` would fail.

    Raises:
        BundleError: the model turns inputs into other rows of tokens than the checkpoint does.
    """
    found = examples.compare(loaded, model)
    reference, score = found.scores or (None, None)
    allowance = metric_allowance(found.differing, found.examples) if found.scores else 0.0
    lost = 0.0 if reference is None or score is None else reference - score
    checks = agreement_checks(found, precision, tolerance_for(examples.kind, precision))
    drift = tuple(check for check in checks if not check.passed)
    return Verdict(
        passed=lost <= max_drop + allowance + ROUNDING and (allow_drift or not drift),
        judged=found.scores is not None,
        metric=examples.metric,
        reference=reference,
        bundle=score,
        max_drop=max_drop,
        allowance=allowance,
        examples=found.examples,
        agreement=found.agreement,
        largest_difference=found.probability_difference,
        compared=found.compared,
        drift=drift,
    )


def agreement_checks(found: Comparison, precision: str, limit: Tolerance) -> list[Check]:
    """Return the checks of answers against torch that both gate and parity make."""
    difference = found.output_difference if precision == "fp32" else found.probability_difference
    return [
        at_least("agreement", found.agreement, chance_agreement(limit.agreement, found.count)),
        at_most("max_difference", difference, limit.max_difference),
    ]


def advise(verdict: Verdict, precision: str) -> str | None:
    """Return how to remedy the gate's verdict, or None if there is nothing to report.

    Args:
        verdict: the gate's result for the bundle.
        precision: the name of the bundle's precision.
    """
    closer = {"int8": "try --precision w8, which is closer to fp32", "w8": "try --precision fp32"}
    remedy = closer.get(precision, "the graph differs from torch")
    lines = []
    if not verdict.judged:
        lines.append(
            "quality was not measured, because there were no labelled examples; name some with --data"
        )
    if verdict.drop is not None and verdict.drop > verdict.max_drop + verdict.allowance + ROUNDING:
        lines.append(f"{remedy}, or allow more with --max-drop")
    if verdict.drift:
        found = " and ".join(
            f"{check.name} {check.value:.4g} (allowed {check.limit:.4g})" for check in verdict.drift
        )
        written = "it was written as asked" if verdict.passed else "or write it anyway with --allow-drift"
        lines.append(
            f"ftool parity would fail this bundle on these {verdict.examples} examples: {found}; {remedy}, {written}"
        )
    return "\n".join(lines) or None
