"""The accuracy gate: limits on the accuracy lost by quantisation, measured on inputs outside the training data."""

from dataclasses import asdict, dataclass
from typing import Any, Final

from ftool_export.examples.base import Examples
from ftool_export.examples.comparison import Compared, Comparison, Examination
from ftool_export.tolerances import Tolerance, chance_agreement, metric_allowance, tolerance_for

BATCH_EFFECT = "batch_effect"  # the name of a check
_TITLES: Final = {
    "same_weights": "made from the weights in run/",
    "max_difference": "largest difference",
    "batch_effect": "alone or in a batch: difference",
    "metric_drop": "loss of quality",
    "weight_error": "rounding of a weight, in steps",
    "constant_error": "other numbers: difference",
    "rounding": "run/ quantised again: difference",
    "greedy": "whole answers, greedy",
    "beams": "whole answers, four beams",
}
ROUNDING = 1e-9  # added to limits, because 0.93 - 0.92 is slightly more than 0.01 in binary


@dataclass(frozen=True, slots=True)
class Check:
    """A measured value, its limit, and whether the value is within the limit, which is a `minimum` or a maximum."""

    name: str
    value: float
    limit: float
    passed: bool
    minimum: bool = False


def title_of(check: Check, compared: str) -> str:
    """Return what a check is called for people. `compared` says what agreement counts, such as "answers"."""
    return f"same {compared}" if check.name == "agreement" else _TITLES[check.name]


def at_least(name: str, value: float, limit: float) -> Check:
    """Return a check that passes if `value` is at least `limit`."""
    return Check(name, value, limit, value >= limit - ROUNDING, minimum=True)


def at_most(name: str, value: float, limit: float) -> Check:
    """Return a check that passes if `value` is at most `limit`."""
    return Check(name, value, limit, value <= limit + ROUNDING)


@dataclass(frozen=True, slots=True)
class MetricPair:
    """The main metric of torch's answers and of the bundle's answers to the same inputs.

    Attributes:
        metric: the metric's name.
        reference: torch's score.
        bundle: the bundle's score.
        max_drop: how far the bundle's score may lie below torch's: the limit that was set for the bundle's export.
        allowance: an additional drop, allowed for sampling error: one standard error of the difference of the scores.
        cross_fitted: as in `Examples`.
    """

    metric: str
    reference: float
    bundle: float
    max_drop: float
    allowance: float
    cross_fitted: bool = False

    @property
    def drop(self) -> float:
        """Torch's score minus the bundle's; negative if the bundle's is better."""
        return self.reference - self.bundle

    @property
    def check(self) -> Check:
        """The check that the score of the bundle does not lie too far below torch's."""
        return at_most("metric_drop", self.drop, self.max_drop + self.allowance)

    def to_json(self) -> dict[str, Any]:
        """Return both scores and their difference as plain JSON."""
        return {
            "name": self.metric,
            "reference": self.reference,
            "bundle": self.bundle,
            "drop": self.drop,
            "allowance": self.allowance,
            "cross_fitted": self.cross_fitted,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The result of the accuracy gate, which compares a bundle's answers with torch's.

    Attributes:
        passed: whether the bundle may be written.
        judged: whether the inputs had labels; without labels only the agreement with torch is known.
        metric: the name of the main metric; None without labels.
        reference: the metric of torch's answers; None without labels.
        bundle: the metric of the bundle's answers; None without labels.
        max_drop: how far `bundle` may lie below `reference`.
        allowance: an additional drop, allowed for sampling error: one standard error of the difference of the scores.
        cross_fitted: as in `Examples`: both scores are then not those at the bundle's own thresholds.
        examples: the number of inputs.
        agreement: the share of answers, nearest texts or next tokens that are the same for bundle and torch.
        largest_difference: the largest difference between the bundle's and torch's probabilities, over all inputs.
        compared: what `agreement` counts, as in `Comparison`.
        drift: the failed checks among those that `ftool parity` makes too, with limits that allow for sampling error.
            If there are any, the bundle is written only if `judge` was called with `allow_drift`.
    """

    passed: bool
    judged: bool
    metric: str | None = None
    reference: float | None = None
    bundle: float | None = None
    max_drop: float
    allowance: float = 0.0
    cross_fitted: bool = False
    examples: int
    agreement: float
    largest_difference: float
    compared: Compared
    drift: tuple[Check, ...] = ()

    @property
    def depends_on_batch(self) -> bool:
        """Whether an input's answer depends on the other inputs of its batch by more than parity allows."""
        return any(check.name == BATCH_EFFECT for check in self.drift)

    @property
    def drop(self) -> float | None:
        """The metric of torch minus that of the bundle; negative if the bundle is better. None without labels."""
        return None if self.reference is None or self.bundle is None else self.reference - self.bundle

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as plain JSON."""
        return {**asdict(self), "drift": [check.name for check in self.drift], "drop": self.drop}

    def __str__(self) -> str:
        same = f"same {self.compared}: {self.agreement:.2%} over {self.examples} examples"
        if self.drop is None:
            return f"{same}, largest difference {self.largest_difference:.4f}"
        how = " (cross-fitted)" if self.cross_fitted else ""
        return f"{self.metric} {self.bundle:.4f} against {self.reference:.4f}{how}, {same}"


def judge(
    loaded: Any, model: Any, examples: Examples, *, precision: str, max_drop: float, allow_drift: bool = False
) -> Verdict:
    """Compare a model's answers with torch's on examples outside the training data, and return the gate's verdict.

    The verdict covers every check of answers that `ftool parity` makes, on the same examples. Checks that take long
    (single against batched, batches of several shapes, whole generated answers) are made only if the others pass.
    Parity's comparison of the bundle's constants with a second export is not made here, because the bundle comes from
    the first.

    Args:
        loaded: the checkpoint; its answers are computed once and kept for further calls with the same `examples`.
        model: a bundle loaded by the runtime, or any object with the same methods.
        examples: the inputs that checkpoint and model answer.
        precision: the model's precision, which determines the limits.
        max_drop: the largest drop of the metric (absolute); the allowance for sampling error is added to this limit.
        allow_drift: whether the verdict may pass if `ftool parity` would fail.

    Raises:
        BundleError: the model turns an input into another number of rows or tokens than the checkpoint does.
    """
    comparison = examples.compare(loaded, model)
    limit = tolerance_for(examples.kind, precision)
    metric = metric_pair(comparison, examples, max_drop)
    kept = metric is None or metric.check.passed
    checks = comparison_checks(comparison, comparison.output_difference, limit)
    if kept and (allow_drift or all(check.passed for check in checks)):
        found = examples.examine(loaded, model, comparison, whole_answers=limit.exact)
        checks = examination_checks(found, limit)
    drift = tuple(check for check in checks if not check.passed)
    return Verdict(
        passed=kept and (allow_drift or not drift),
        judged=metric is not None,
        metric=examples.metric,
        reference=metric.reference if metric else None,
        bundle=metric.bundle if metric else None,
        max_drop=max_drop,
        allowance=metric.allowance if metric else 0.0,
        cross_fitted=metric is not None and metric.cross_fitted,
        examples=comparison.examples,
        agreement=comparison.agreement,
        largest_difference=comparison.probability_difference,
        compared=comparison.compared,
        drift=drift,
    )


def metric_pair(found: Comparison, examples: Examples, max_drop: float) -> MetricPair | None:
    """Return torch's and the bundle's main metric, with the limit on its drop; None for inputs without labels."""
    if examples.metric is None or found.scores is None:
        return None
    error = found.score_error
    if error is None:
        error = metric_allowance(found.differing, found.examples)
    return MetricPair(examples.metric, *found.scores, max_drop, error, examples.cross_fitted)


def comparison_checks(found: Comparison, output_difference: float, limit: Tolerance) -> list[Check]:
    """Return the checks of a bundle's answers against torch's. `output_difference` is checked if `limit` is exact."""
    difference = output_difference if limit.exact else found.probability_difference
    return [
        at_least("agreement", found.agreement, chance_agreement(limit.agreement, found.count)),
        at_most("max_difference", difference, limit.max_difference),
    ]


def examination_checks(found: Examination, limit: Tolerance) -> list[Check]:
    """Return all checks of a bundle's answers: an export's gate and `ftool parity` both decide on these checks.

    Whole generated answers are checked only if `limit` is exact.
    """
    checks = comparison_checks(found.comparison, found.output_difference, limit)
    checks.append(at_most(BATCH_EFFECT, found.batch.probability, limit.batch_effect))
    if limit.exact:
        checks += [at_least(name, same.share, 1.0) for name, same in found.whole_answers.items()]
    return checks


def advise(verdict: Verdict, closer: str | None, embedding_bits: int = 8) -> str | None:
    """Return advice on the gate's verdict, one remedy per line, or None if there is nothing to report.

    Args:
        verdict: the gate's result for the bundle.
        closer: the next precision that is closer to torch's; None for fp32.
        embedding_bits: the bits of a number in the bundle's quantised embedding tables.
    """
    remedy = f"try --precision {closer}" if closer else "the graph differs from torch"
    if closer not in (None, "fp32"):
        remedy += ", which is closer to fp32"
    if embedding_bits == 4:
        remedy = "try --embedding-bits 8"
    lines = []
    if not verdict.judged:
        lines.append(
            "quality was not measured, because there were no labelled examples; name some with --data"
        )
    if verdict.drop is not None and verdict.drop > verdict.max_drop + verdict.allowance + ROUNDING:
        lines.append(f"{remedy}, or allow more with --max-drop")
    elif verdict.drop is not None and verdict.drop > verdict.max_drop + ROUNDING:
        lines.append(
            f"the {verdict.metric} fell by {verdict.drop:.4f}, more than --max-drop {verdict.max_drop:g}; on "
            f"{verdict.examples} examples that may be chance (one standard error is {verdict.allowance:.4f}): "
            f"measure on more, or {remedy}"
        )
    if verdict.drift:
        found = " and ".join(
            f"{check.name} {check.value:.4g} (allowed {check.limit:.4g})" for check in verdict.drift
        )
        written = "it was written as asked" if verdict.passed else "or write it anyway with --allow-drift"
        lines.append(
            f"ftool parity would fail this bundle on these {verdict.examples} examples: {found}; {remedy}, {written}"
        )
    return "\n".join(lines) or None
