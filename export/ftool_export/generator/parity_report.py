"""What a parity run of a bundle that generates text found, each difference beside its tolerance."""

from dataclasses import dataclass
from typing import Any

from ftool_export.parity_report import Check, MetricPair, at_most, metric_json
from ftool_export.tolerances import Tolerance


@dataclass(frozen=True, slots=True)
class SameAnswers:
    """Whole answers, token for token.

    Attributes:
        answers: how many both gave.
        same: how many were the same.
        ties: how many of the others part where torch itself had no preference.
    """

    answers: int
    same: int
    ties: int

    @property
    def share(self) -> float:
        """The share that are the same, those that part at a tie of torch included."""
        return (self.same + self.ties) / self.answers

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"answers": self.answers, "same": self.same, "ties": self.ties}


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationParityReport:
    """Everything that was compared.

    Attributes:
        precision: the bundle's precision.
        examples: sources or prompts that both answered.
        tokens: tokens of torch's greedy answers, along which logits were compared.
        agreement: share of tokens that both choose first, each given torch's tokens before it.
        ties: places among these where torch's two best logits lie within 1e-4 and the bundle chose the other.
        logit_difference: the largest, over all tokens and the vocabulary, in one run and step by step on the caches.
        probability_difference: likewise, of a probability.
        greedy: whole answers without beams.
        beams: whole answers with four beams.
        company: answers that change between a row alone and in a batch.
        batch_effect: the largest difference of a probability between a row alone and in a batch.
        metric: None where there were no right answers.
        tolerance: the limits.
    """

    precision: str
    examples: int
    tokens: int
    agreement: float
    ties: int
    logit_difference: float
    probability_difference: float
    greedy: SameAnswers
    beams: SameAnswers
    company: int
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
            Check("agreement", self.agreement, limit.agreement, self.agreement >= limit.agreement),
            at_most("max_difference", self.max_difference, limit.max_difference),
            at_most("batch_effect", self.batch_effect, limit.batch_effect),
        ]
        if self.precision == "fp32":
            found += [
                Check(name, same.share, 1.0, same.share >= 1.0)
                for name, same in (("greedy", self.greedy), ("beams", self.beams))
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
        greedy = self.greedy
        return [
            f"greedy: {greedy.same} of {greedy.answers} answers the same in every token; {greedy.ties} part at a tie",
            f"four beams: {self.beams.same} of {self.beams.answers} the same, and {self.beams.ties} at a tie",
            f"{self.tokens} tokens compared; {self.company} answers change between alone and in company",
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
            "tokens": self.tokens,
            "ties": self.ties,
            "logit_difference": self.logit_difference,
            "probability_difference": self.probability_difference,
            "greedy": self.greedy.to_json(),
            "beams": self.beams.to_json(),
            "changed_by_company": self.company,
            "metric": metric_json(self.metric),
        }
