"""How far a bundle may be from its torch reference, by precision, and why."""

from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Final, Self

from ftool_export.graph.guards import FP32_TOLERANCE

# Probabilities of one text alone and in company: sums over padded rows come in another order.
_REORDERED_SUMS: Final = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """What still counts as the same.

    Attributes:
        agreement: least share of answers that are the same.
        max_difference: largest difference of a logit (fp32) or of a probability (the others).
        batch_effect: largest difference of a probability between a text alone and in company.
        drop: largest loss of the main metric, before the allowance for the number of texts. None for fp32, where
            every answer is the same.
    """

    agreement: float
    max_difference: float
    batch_effect: float
    drop: float | None

    def with_drop(self, drop: float | None) -> Self:
        """The same with another loss of the metric, where one is given and any is allowed."""
        return self if drop is None or self.drop is None else replace(self, drop=drop)

    def to_json(self) -> dict[str, float | None]:
        """Plain JSON values."""
        return asdict(self)


TOLERANCES: Final = MappingProxyType(
    {
        # The same arithmetic in another order.
        "fp32": Tolerance(
            agreement=1.0, max_difference=FP32_TOLERANCE, batch_effect=_REORDERED_SUMS, drop=None
        ),
        # One activation scale a tensor: an outlier can move a single text far, which says little of the others;
        # these are guarded by agreement. Texts run alone, so company changes nothing at all.
        "int8": Tolerance(agreement=0.95, max_difference=0.75, batch_effect=0.0, drop=0.01),
        # A scale for every 32 activations: an outlier stays in its block.
        "w8": Tolerance(agreement=0.985, max_difference=0.25, batch_effect=_REORDERED_SUMS, drop=0.003),
    }
)

# Where an answer is finer than a label: one token more or less makes another span, which the metric hardly feels.
_AGREEMENT: Final = MappingProxyType(
    {
        # The nearest of hundreds of vectors is often hardly nearer than the next: 0.94 and 0.95 on policyqa.
        ("feature-extraction", "int8"): 0.85,
        ("feature-extraction", "w8"): 0.95,
        ("question-answering", "int8"): 0.85,
        ("question-answering", "w8"): 0.95,
    }
)


def tolerance_for(precision: str, task: str) -> Tolerance:
    """What still counts as the same for bundles of a precision and a task."""
    tolerance = TOLERANCES[precision]
    return replace(tolerance, agreement=_AGREEMENT.get((task, precision), tolerance.agreement))
