"""The accuracy gate: what quantisation may cost, judged on labelled inputs that were not trained on."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from ftool_export.examples.base import Examples
from ftool_export.tolerances import Tolerance
from ftool_runtime.session.encoder_engine import Outputs

ROUNDING = 1e-9  # 0.93 - 0.92 is a little more than 0.01 in binary


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the gate says.

    Attributes:
        passed: whether the bundle may be written. True where nothing could be judged.
        judged: whether there were labelled texts; without them only agreement with torch is known.
        metric: the metric's name, None where not judged.
        reference: torch's score.
        bundle: the graph's score.
        max_drop: how far the second may lie below the first.
        examples: inputs compared.
        agreement: share of what was compared that is the same.
        largest_difference: of a probability, over all inputs.
        compared: "answers", or their parts; or "next tokens", each after torch's tokens before it.
    """

    passed: bool
    judged: bool
    metric: str | None = None
    reference: float | None = None
    bundle: float | None = None
    max_drop: float
    examples: int
    agreement: float
    largest_difference: float
    compared: Literal["answers", "next tokens"]

    @property
    def drop(self) -> float | None:
        """How much of the metric was lost; below 0 where the bundle is better. None where not judged."""
        return None if self.reference is None or self.bundle is None else self.reference - self.bundle

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "drop": self.drop}

    def __str__(self) -> str:
        score = "" if self.drop is None else f"{self.metric} {self.bundle:.4f} against {self.reference:.4f}, "
        return f"{score}same {self.compared}: {self.agreement:.2%} over {self.examples} examples"


def judge_outputs(examples: Examples, reference: Outputs, candidate: Outputs, *, max_drop: float) -> Verdict:
    """Compare a graph's outputs with torch's on the same inputs.

    Args:
        examples: the inputs, and what outputs for them mean.
        reference: torch's.
        candidate: the graph's.
        max_drop: absolute loss of the metric that is allowed.
    """
    judged = examples.metric is not None
    scores = (examples.score(reference), examples.score(candidate)) if judged else None
    return Verdict(
        passed=scores is None or scores[0] - scores[1] <= max_drop + ROUNDING,
        judged=judged,
        metric=examples.metric,
        reference=scores[0] if scores else None,
        bundle=scores[1] if scores else None,
        max_drop=max_drop,
        examples=len(examples.inputs),
        agreement=float(examples.same(reference, candidate).mean()),
        largest_difference=float(examples.distances(reference, candidate).max()),
        compared="answers",
    )


def advise(verdict: Verdict, precision: str, tolerance: Tolerance) -> str | None:
    """What to do about a verdict; None where there is nothing to say.

    Args:
        verdict: of the bundle in this precision.
        precision: its name.
        tolerance: what parity holds the bundle to.
    """
    closer = {"int8": "try --precision w8, which is closer to fp32", "w8": "try --precision fp32"}
    remedy = closer.get(precision, "the graph differs from torch")
    if not verdict.passed:
        return f"{remedy}, or allow more with --max-drop"
    said = []
    if not verdict.judged:
        said.append("quality was not judged, as there were no labelled examples; name some with --data")
    if verdict.agreement < tolerance.agreement:
        said.append(
            f"ftool parity would fail this bundle here: the same {verdict.compared} {verdict.agreement:.1%}, and "
            f"{precision} is allowed no less than {tolerance.agreement:.1%}; {remedy}"
        )
    return "\n".join(said) or None
