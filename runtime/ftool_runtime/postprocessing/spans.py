"""Answer spans: from the logits of a context's windows to the best spans of the context, or to no answer.

Scores are those of BERT's SQuAD scripts (Devlin et al. 2019). A span's score is the start logit of its first token
plus the end logit of its last. The score of "no answer" is that sum at the first token of a window; the smallest one
of all windows counts, because there is no answer only if no window holds one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ftool_runtime.errors import BundleError
from ftool_runtime.numerics import softmax
from ftool_runtime.text.windows import Window

NO_ANSWER = 0  # the position of the token whose logits score "no answer": [CLS] in most models
N_BEST = 20  # spans that share the probability, as in the SQuAD scripts


@dataclass(frozen=True, slots=True)
class Span:
    """A part of the context, `context[start:end]` in characters, and the sum of its two logits."""

    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class Spans:
    """The best spans of one context.

    Attributes:
        best: different spans, best first; empty only if no token covers a character.
        no_answer: the score of "no answer", the smallest of all windows.
    """

    best: tuple[Span, ...]
    no_answer: float

    @property
    def margin(self) -> float:
        """The best span's score minus that of "no answer"; minus infinity if there is no span."""
        return self.best[0].score - self.no_answer if self.best else -np.inf

    def answered(self, threshold: float | None) -> bool:
        """Whether the best span is the answer, because "no answer" scores at most `threshold` above it.

        None is for models that know no unanswerable questions.
        """
        return bool(self.best) and (threshold is None or -self.margin <= threshold)

    def probabilities(self, *, with_no_answer: bool) -> NDArray[np.float64]:
        """Softmax over the scores of `best`, followed by that of "no answer" if `with_no_answer`: float64 (spans,)."""
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
    """Find the best spans of `context` in all of its windows.

    Every window is searched completely, so that windows which overlap by at least `max_answer_length` - 1 tokens lose
    no answer at a border. A span in two windows counts once, with its better score.

    Args:
        context: the text that the windows are from.
        windows: at least one.
        logits: for each window a float array (tokens, 2): start and end logits.
        max_answer_length: the most tokens of an answer.
        n_best: the most spans to return.

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
    """The first token, last token and score of the best spans of one window, in no particular order."""
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
    """The range without white space at its ends, which some tokenizers include in their tokens."""
    stretch = context[start:end]
    begin = start + len(stretch) - len(stretch.lstrip())
    return begin, max(begin, start + len(stretch.rstrip()))
