"""Limits for differences of a bundle from torch, by kind of answer and precision, and allowances for chance."""

import math
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from ftool_export.examples.base import AnswerKind
from ftool_export.graph.guards import FP32_TOLERANCE

# Probabilities of one text, single and batched: sums over padded rows are added in another order.
_REORDERED_SUMS: Final = 1e-5
MAX_DROP: Final = 0.01  # of the main metric by quantisation, unless an export sets another limit
_UNLIKELY: Final = 0.01  # a share of differing answers less probable than this is not chance


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """Limits within which a bundle counts as equal to its reference.

    Attributes:
        agreement: smallest share of answers, or of next tokens, that are the same.
        max_difference: largest difference of a logit (fp32) or of a probability (the others).
        batch_effect: largest difference of a probability between a text single and batched.
    """

    agreement: float
    max_difference: float
    batch_effect: float


# The same arithmetic in another order.
_FP32: Final = Tolerance(agreement=1.0, max_difference=FP32_TOLERANCE, batch_effect=_REORDERED_SUMS)
# One activation scale per tensor: an outlier can change a single text a lot, which says little about the others;
# agreement covers those. Texts run one at a time, so batching changes nothing at all.
_INT8: Final = Tolerance(agreement=0.95, max_difference=0.75, batch_effect=0.0)
# A scale for every 32 activations: an outlier stays in its block.
_W8: Final = Tolerance(agreement=0.985, max_difference=0.25, batch_effect=_REORDERED_SUMS)

TOLERANCES: Final = MappingProxyType(
    {
        ("labels", "fp32"): _FP32,
        ("labels", "int8"): _INT8,
        ("labels", "w8"): _W8,
        # Spans are finer than labels: one token more or less makes another span and hardly changes the metric.
        ("spans", "fp32"): _FP32,
        ("spans", "int8"): replace(_INT8, agreement=0.85),
        ("spans", "w8"): replace(_W8, agreement=0.95),
        # The nearest of hundreds of vectors is often hardly nearer than the next: 0.94 and 0.95 on policyqa.
        ("vectors", "fp32"): _FP32,
        ("vectors", "int8"): replace(_INT8, agreement=0.85),
        ("vectors", "w8"): replace(_W8, agreement=0.95),
        # A token may differ only if torch itself has no preference.
        ("text", "fp32"): Tolerance(agreement=1.0, max_difference=1e-3, batch_effect=1e-4),
        # One activation scale per row and 7 bits per weight; a batch changes the order of attention's sums.
        ("text", "int8"): Tolerance(agreement=0.90, max_difference=0.9, batch_effect=1e-2),
        # A scale for every 128 activations of a row; attention as above.
        ("text", "w8"): Tolerance(agreement=0.97, max_difference=0.5, batch_effect=1e-2),
    }
)


def tolerance_for(kind: AnswerKind, precision: str) -> Tolerance:
    """Return the limits for a kind of answer in a precision."""
    return TOLERANCES[kind, precision]


def metric_allowance(differing: int, examples: int) -> float:
    """Return one standard error of a difference of two averages over the same examples.

    An answer that differs changes an average by at most one part in n, and the signs are nearly random.

    Args:
        differing: the number of answers that differ.
        examples: the number of examples.
    """
    return math.sqrt(differing) / examples


def chance_agreement(limit: float, count: int) -> float:
    """Return the smallest agreement over `count` answers that chance explains for a true agreement of `limit`.

    Less than one sample in a hundred has fewer equal answers than this (binomial distribution).

    Args:
        limit: the true share of same answers, 0 to 1.
        count: answers compared.
    """
    if limit >= 1.0 or count == 0:
        return limit
    seen, term = 0.0, count * math.log(limit)  # term: log of the probability that `differing` answers differ
    for differing in range(count):
        seen += math.exp(term)
        if seen >= 1 - _UNLIKELY:
            return min(limit, 1 - differing / count)
        term += math.log((1 - limit) / limit * (count - differing) / (differing + 1))
    return 0.0
