"""From the logits of a context's windows to the stretches of text that answer best, or to none.

Scores are those of BERT's SQuAD scripts (Devlin et al. 2019): a span's is the logit of its first token as a start plus
that of its last as an end; that of "no answer" is the same sum at the first token of a window, of which the smallest
window's counts: no window may hold an answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ftool_runtime.errors import BundleError
from ftool_runtime.numerics import softmax
from ftool_runtime.text.windows import Window

NO_ANSWER = 0  # the token whose logits stand for "no answer": the first, [CLS] of most models
N_BEST = 20  # spans that share the probability, as in the SQuAD scripts


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the context: `context[start:end]`, in characters, and the sum of its two logits."""

    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class Spans:
    """What the windows of one context say.

    Attributes:
        best: different spans, best first; empty only where no token stands for a character.
        no_answer: the score of there being none, the smallest of all windows.
    """

    best: tuple[Span, ...]
    no_answer: float

    @property
    def margin(self) -> float:
        """By how much the best span's score is above that of no answer; minus infinity where there is no span."""
        return self.best[0].score - self.no_answer if self.best else -np.inf

    def answered(self, threshold: float | None) -> bool:
        """Whether the best span is the answer: unless "no answer" is above it by more than `threshold`.

        A threshold of None is that of models that know no unanswerable questions.
        """
        return bool(self.best) and (threshold is None or -self.margin <= threshold)

    def probabilities(self, *, with_no_answer: bool) -> NDArray[np.float64]:
        """Softmax over the scores of `best`, and behind them of no answer if asked for: float64 (spans,)."""
        scores = np.array(
            [span.score for span in self.best] + [self.no_answer] * with_no_answer, dtype=np.float64
        )
        return softmax(scores) if scores.size else scores


def find_spans(
    context: str,
    windows: Sequence[Window],
    logits: Sequence[NDArray[np.float32]],
    *,
    max_answer_length: int,
    n_best: int = N_BEST,
) -> Spans:
    """The best spans of `context` over all of its windows.

    Every window is searched whole, so that windows which overlap by `max_answer_length` - 1 tokens or more lose no
    answer on a border; a span that two windows hold counts once, with its better score.

    Args:
        context: the text that the windows' offsets point into.
        windows: at least one.
        logits: for each window a float array (tokens, 2): as a start, as an end.
        max_answer_length: tokens of an answer at most.
        n_best: how many spans are kept.

    Raises:
        BundleError: a logit is not a finite number.
    """
    found: dict[tuple[int, int], float] = {}
    no_answer = np.inf
    for window, values in zip(windows, logits, strict=True):
        if not np.isfinite(values).all():
            raise BundleError("the model gave a logit that is not a finite number; export the bundle again")
        no_answer = min(no_answer, float(values[NO_ANSWER].astype(np.float64).sum()))
        for first, last, score in _best_of_window(window, values, max_answer_length, n_best):
            place = _stripped(context, window.offsets[first][0], window.offsets[last][1])
            if place[0] < place[1]:
                found[place] = max(score, found.get(place, -np.inf))
    ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))[:n_best]
    return Spans(tuple(Span(start, end, score) for (start, end), score in ranked), no_answer)


def _best_of_window(
    window: Window, logits: NDArray[np.float32], max_answer_length: int, n_best: int
) -> list[tuple[int, int, float]]:
    """The first and last token and the score of the best spans of one window, in no order."""
    positions = window.text_positions
    if not positions:
        return []
    starts, ends = logits[positions.start : positions.stop].astype(np.float64).T  # each (tokens,)
    longest = min(max_answer_length, len(positions))
    beyond = np.full(longest - 1, -np.inf)
    # (tokens, longest): row i holds the spans that start at token i, by their length
    scores = starts[:, None] + sliding_window_view(np.concatenate([ends, beyond]), longest)
    flat = scores.ravel()
    kept = np.argpartition(-flat, n_best - 1)[:n_best] if n_best < flat.size else np.arange(flat.size)
    kept = kept[np.isfinite(flat[kept])]
    firsts, extra = np.divmod(kept, longest)
    return [
        (positions[first], positions[first + more], score)
        for first, more, score in zip(firsts.tolist(), extra.tolist(), flat[kept].tolist(), strict=True)
    ]


def _stripped(context: str, start: int, end: int) -> tuple[int, int]:
    """The stretch without white space at its ends, which some tokenizers count to their tokens."""
    stretch = context[start:end]
    begin = start + len(stretch) - len(stretch.lstrip())
    return begin, max(begin, start + len(stretch.rstrip()))
