"""What a parity run of a bundle that generates text found, each difference beside its tolerance."""

from dataclasses import dataclass
from typing import Any

from ftool_export.parity_report import Check, Comparison, at_least


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


@dataclass(frozen=True, kw_only=True)
class GenerationParityReport(Comparison):
    """Everything that was compared of a bundle that writes text.

    `examples` are sources or prompts; agreement and the differences are those of each token of torch's greedy answers,
    given torch's tokens before it; logits are also compared step by step on the caches.

    Attributes:
        tokens: how many tokens that were.
        ties: places among these where torch's two best logits lie within 1e-4 and the bundle chose the other.
        greedy: whole answers without beams.
        beams: whole answers with four beams.
        company: answers that change between a row alone and in a batch.
    """

    tokens: int
    ties: int
    greedy: SameAnswers
    beams: SameAnswers
    company: int

    @property
    def checks(self) -> tuple[Check, ...]:
        """Every difference that has a limit; whole answers have one in fp32 alone."""
        found = super().checks
        if self.precision != "fp32":
            return found
        answers = (("greedy", self.greedy), ("beams", self.beams))
        return (*found, *(at_least(name, same.share, 1.0) for name, same in answers))

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
        return super().to_json() | {
            "tokens": self.tokens,
            "ties": self.ties,
            "greedy": self.greedy.to_json(),
            "beams": self.beams.to_json(),
            "changed_by_company": self.company,
        }
