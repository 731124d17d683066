"""Limits on a bundle's differences from torch, by kind of answer and precision, and allowances for sampling error."""

import math
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ftool_export.examples.base import AnswerKind
from ftool_export.graph.guards import FP32_TOLERANCE

# Limit on a probability's change between single and batched: padded rows are summed in another order.
_REORDERED_SUMS: Final = 1e-5
MAX_DROP: Final = 0.01  # drop of the main metric by quantisation, unless an export sets another limit
_UNLIKELY: Final = 0.01  # an agreement less probable than this is not explained by sampling error


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """Limits within which a bundle counts as equal to its checkpoint.

    Attributes:
        agreement: the smallest share of answers, or of next tokens, that must be the same.
        max_difference: the largest difference of a logit if `exact`, else of a probability.
        batch_effect: the largest change of a probability between running an input singly and in a batch.
        exact: whether answers must be PyTorch's own, as those of fp32 bundles must.
    """

    agreement: float
    max_difference: float
    batch_effect: float
    exact: bool = False


# fp32 bundles do the same arithmetic as torch in another order.
_FP32: Final = Tolerance(
    agreement=1.0, max_difference=FP32_TOLERANCE, batch_effect=_REORDERED_SUMS, exact=True
)
# Every operator rounds its result to 11 binary digits, which moves a logit of 10 by some thousandths. A sum in another
# order, such as that of a padded row, can round the other way, so a batch has an effect of the same size.
_FP16: Final = Tolerance(agreement=0.985, max_difference=0.05, batch_effect=0.01)
# One activation scale per tensor: an outlier can change a single text a lot, so max_difference is wide and agreement
# covers the other texts. Texts run one at a time, so batching changes nothing at all.
_INT8: Final = Tolerance(agreement=0.95, max_difference=0.75, batch_effect=0.0)
# One activation scale per row: an outlier can change the texts that contain it, as in int8, but texts run together.
_INT8_ROWS: Final = replace(_INT8, batch_effect=_REORDERED_SUMS)
# One scale for every 32 activations, so an outlier affects only its own block.
_W8: Final = Tolerance(agreement=0.985, max_difference=0.25, batch_effect=_REORDERED_SUMS)
# Weights in 4 bits, rounded so that errors cancel out, move answers about as far as int8's activations.
_W4: Final = replace(_W8, agreement=0.95, max_difference=0.75)

TOLERANCES: Final = MappingProxyType(
    {
        ("labels", "fp32"): _FP32,
        ("labels", "fp16"): _FP16,
        ("labels", "int8"): _INT8,
        ("labels", "int8-rows"): _INT8_ROWS,
        ("labels", "int8-static"): _INT8_ROWS,
        ("labels", "w8"): _W8,
        ("labels", "w4"): _W4,
        # One token more or less makes a different span, but hardly changes the metric.
        ("spans", "fp32"): _FP32,
        ("spans", "fp16"): replace(_FP16, agreement=0.95),
        ("spans", "int8"): replace(_INT8, agreement=0.85),
        ("spans", "int8-rows"): replace(_INT8_ROWS, agreement=0.85),
        ("spans", "int8-static"): replace(_INT8_ROWS, agreement=0.85),
        ("spans", "w8"): replace(_W8, agreement=0.95),
        ("spans", "w4"): replace(_W4, agreement=0.85),
        # The nearest of hundreds of vectors is often hardly nearer than the second: agreement is 0.94 and 0.95 on
        # policyqa.
        ("vectors", "fp32"): _FP32,
        ("vectors", "fp16"): replace(_FP16, agreement=0.95),
        ("vectors", "int8"): replace(_INT8, agreement=0.85),
        ("vectors", "int8-rows"): replace(_INT8_ROWS, agreement=0.85),
        ("vectors", "int8-static"): replace(_INT8_ROWS, agreement=0.85),
        ("vectors", "w8"): replace(_W8, agreement=0.95),
        ("vectors", "w4"): replace(_W4, agreement=0.85),
        # A token may differ only if torch's two best logits are equal up to rounding.
        ("text", "fp32"): Tolerance(agreement=1.0, max_difference=1e-3, batch_effect=1e-4, exact=True),
        # One activation scale per row and 7 bits per weight; a batch changes the order of attention's sums.
        ("text", "int8"): Tolerance(agreement=0.90, max_difference=0.9, batch_effect=1e-4),
        # One scale for every 64 activations of a row; attention as above.
        ("text", "w8"): Tolerance(agreement=0.97, max_difference=0.5, batch_effect=1e-4),
        ("text", "w4"): Tolerance(agreement=0.90, max_difference=0.9, batch_effect=1e-4),
    }
)


def tolerance_for(kind: AnswerKind, precision: str) -> Tolerance:
    """Return the limits on differences for one kind of answer in one precision."""
    return TOLERANCES[kind, precision]


def metric_allowance(differing: int, examples: int) -> float:
    """Return the standard error of the difference between two models' average scores on the same examples.

    The estimate assumes that each example whose answers differ changes the difference by 1 / examples, up or down.

    Args:
        differing: the number of examples whose two answers differ.
        examples: the number of examples.
    """
    return math.sqrt(differing) / examples


def share_error(differences: NDArray[np.int64], sizes: NDArray[np.int64]) -> float:
    """Return one standard error of sum(differences) / sum(sizes), the difference of two shares of the same tokens.

    Texts are independent, but not their tokens (ratio estimator, linearised: Cochran 1977, chapter 6).

    Args:
        differences: for each text, the tokens that one model got right minus those that the other got right.
        sizes: the number of tokens of each text.
    """
    total = max(1, int(sizes.sum()))
    return float(np.sqrt(((differences - differences.sum() / total * sizes) ** 2).sum()) / total)


def chance_agreement(limit: float, count: int) -> float:
    """Return the smallest share of equal answers in a sample of `count` that is plausible if the true share is `limit`.

    A smaller share has a probability below 1% (binomial distribution).

    Args:
        limit: the true share of equal answers, 0 to 1.
        count: the number of answers in the sample.
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
