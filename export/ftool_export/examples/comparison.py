"""The results of comparing a model's answers with PyTorch's, for every kind of answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

# What is the same or not: answers (of a multi-label model each label separately), the nearest text of each vector, or
# next tokens, each predicted after the reference's preceding tokens.
Compared = Literal["answers", "nearest texts", "next tokens"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Differences between a model's answers and a reference's answers to the same inputs.

    Attributes:
        examples: the number of inputs.
        compared: what `count` and `agreement` count.
        count: the number of compared answers, nearest texts or next tokens.
        agreement: the share that is the same for model and reference; each label of a multi-label answer counts.
        differing: the number of inputs with an answer that differs in any part.
        distances: float64 (examples,): the largest change of a probability in each input's answer, 0 to 1.
        output_difference: the largest absolute difference between the networks' outputs, such as logits.
        scores: the main metric of the reference and of the model; None for inputs without labels.
        score_error: one standard error of the difference of the two scores, which are of the same inputs; None if it is
            not known.
        ties: the number of next tokens that differ while the reference's two best logits are equal up to rounding;
            these count as the same in `agreement`. None for encoders.
    """

    examples: int
    compared: Compared
    count: int
    agreement: float
    differing: int
    distances: NDArray[np.float64]
    output_difference: float
    scores: tuple[float, float] | None
    score_error: float | None = None
    ties: int | None = None

    @property
    def probability_difference(self) -> float:
        """The largest change of a probability, over all inputs."""
        return float(self.distances.max(initial=0.0))


@dataclass(frozen=True, slots=True)
class SameAnswers:
    """How many whole generated answers of a model and PyTorch are the same, token for token.

    Attributes:
        answers: the number of answers compared.
        same: the number of answers that are the same.
        ties: the number of answers that differ only because two choices of PyTorch are equally good up to rounding.
    """

    answers: int
    same: int
    ties: int

    @property
    def share(self) -> float:
        """The share of answers that are the same or differ only because of a tie."""
        return (self.same + self.ties) / self.answers

    def to_json(self) -> dict[str, Any]:
        """Return the counts as JSON values."""
        return {"answers": self.answers, "same": self.same, "ties": self.ties}


class BatchEffect(NamedTuple):
    """The differences between a model's answers to inputs run singly and to the same inputs run in batches.

    Attributes:
        probability: the largest change of a probability.
        changed: the number of inputs with another generated answer; None for encoders.
    """

    probability: float
    changed: int | None = None


@dataclass(frozen=True, slots=True)
class ShapeDifference:
    """The largest difference between a model's and PyTorch's outputs for a batch of one shape."""

    shape: str
    logit_difference: float


@dataclass(frozen=True, slots=True)
class WorstInput:
    """The input for which the model's answer differs most from PyTorch's; `row` is its position, from 0."""

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


@dataclass(frozen=True, kw_only=True)
class Examination:
    """All differences between a bundle's answers and PyTorch's, on which an export's gate and parity decide.

    Attributes:
        comparison: the comparison of the answers to all inputs.
        batch: the comparison of inputs run singly with the same inputs run in batches.
        grid: differences on batches of several shapes: of one or more rows, short, long, padded; empty for generators.
        worst: the input whose answer differs most from PyTorch's; None for generators.
        whole_answers: the agreement of whole generated answers, by way of decoding ("greedy" or "beams"); empty for
            encoders.
    """

    comparison: Comparison
    batch: BatchEffect
    grid: tuple[ShapeDifference, ...] = ()
    worst: WorstInput | None = None
    whole_answers: Mapping[str, SameAnswers] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def output_difference(self) -> float:
        """The largest absolute difference between the networks' outputs, on the inputs and in `grid`; NaN stays NaN."""
        return float(
            np.max([self.comparison.output_difference, *(one.logit_difference for one in self.grid)])
        )


class LatencyCall(NamedTuple):
    """A call of a model whose latency is measured.

    Attributes:
        call: takes one of `inputs`.
        inputs: the inputs; each is passed to `call` once in a round.
        rounds: the number of rounds, of which the first is a warm-up.
        note: what was measured, for the manifest.
    """

    call: Callable[[Any], Any]
    inputs: Sequence[Any]
    rounds: int
    note: str
