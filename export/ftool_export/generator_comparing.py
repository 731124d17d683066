"""How far a bundle is from torch on given answers: token by token, each given the same tokens before it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_export.checkpoints.generator_inference import TokenRows, score_tokens

TIE: Final = (
    1e-4  # two best logits of torch this close to each other may change places in another order of sums
)
ROWS_AT_ONCE: Final = 16  # logits of a row are answer length times vocabulary


# Rows and answers to the logits that predict each token of the answers, float32 (tokens, vocabulary) each.
TokenScorer = Callable[[TokenRows, TokenRows], Sequence[NDArray[np.float32]]]


@dataclass(frozen=True, slots=True)
class ForcedComparison:
    """What both say of every token of the same answers.

    Attributes:
        tokens: how many there were.
        agreement: the share at which both have the same first choice, ties of torch left out.
        ties: places where first choices differ and torch's own two best logits lie within `TIE`.
        logit_difference: the largest, over all tokens and the whole vocabulary.
        probability_difference: likewise.
    """

    tokens: int
    agreement: float
    ties: int
    logit_difference: float
    probability_difference: float


def compare_forced(
    loaded: LoadedGenerator, scorer: TokenScorer, rows: TokenRows, answers: TokenRows
) -> ForcedComparison:
    """Compare a bundle's logits with torch's along `answers`, one answer a row; an empty answer has nothing to say."""
    kept = [position for position, answer in enumerate(answers) if answer]
    tokens = same = ties = 0
    logit = probability = 0.0
    for start in range(0, len(kept), ROWS_AT_ONCE):
        chunk = kept[start : start + ROWS_AT_ONCE]
        some, given = [rows[position] for position in chunk], [answers[position] for position in chunk]
        pairs = zip(score_tokens(loaded, some, given), scorer(some, given), strict=True)
        for reference, other in pairs:
            agree = reference.argmax(-1) == other.argmax(-1)
            tied = ~agree & (margin(reference) <= TIE)
            tokens += len(agree)
            same += int((agree | tied).sum())
            ties += int(tied.sum())
            logit = max(logit, float(np.abs(reference - other).max()))
            probability = max(probability, float(np.abs(softmax(reference) - softmax(other)).max()))
    return ForcedComparison(tokens, same / tokens if tokens else 1.0, ties, logit, probability)


def margin(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far the best logit of each row lies above the second, float32 (rows,)."""
    two = np.partition(logits, -2, axis=-1)[:, -2:]
    difference: NDArray[np.float32] = two[:, 1] - two[:, 0]
    return difference


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Probabilities over the vocabulary, float64 (rows, vocabulary)."""
    values = logits.astype(np.float64)
    exponentials = np.exp(values - values.max(axis=-1, keepdims=True))
    probabilities: NDArray[np.float64] = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return probabilities
