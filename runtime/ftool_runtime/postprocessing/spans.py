"""Find the best answer spans of a context from the logits of its windows.

Scores are computed as in BERT's SQuAD scripts (Devlin et al. 2019). A span's score is the start logit of its first
token plus the end logit of its last token. The score of "no answer" in a window is the same sum at the window's first
token; the context's score of "no answer" is the smallest of its windows' scores, because a context has no answer only
if no window has one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ftool_runtime.errors import BundleError
from ftool_runtime.numerics import softmax
from ftool_runtime.text.windows import Window

NO_ANSWER = 0  # the index of the token whose logits score "no answer", [CLS] in most models
N_BEST = 20  # number of spans over which probabilities are normalised, as in the SQuAD scripts


@dataclass(frozen=True, slots=True)
class Span:
    """A part of the context, `context[start:end]` in characters, and its score: start logit plus end logit."""

    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class Spans:
    """The best spans of one context.

    Attributes:
        best: distinct spans, best first; empty only if no token covers a character.
        no_answer: the score of "no answer", which is the smallest over all windows.
    """

    best: tuple[Span, ...]
    no_answer: float

    @property
    def margin(self) -> float:
        """The score of the best span minus the score of "no answer"; minus infinity if there is no span."""
        return self.best[0].score - self.no_answer if self.best else -np.inf

    def answered(self, threshold: float | None) -> bool:
        """Return whether the best span is the answer: "no answer" scores at most `threshold` higher than the span.

        A threshold of None is for models that always answer.
        """
        return bool(self.best) and (threshold is None or -self.margin <= threshold)

    def probabilities(self, *, with_no_answer: bool) -> NDArray[np.float64]:
        """Return the probabilities of the spans in `best`; if `with_no_answer`, followed by that of "no answer".

        The probabilities are a softmax over the scores: float64 (spans,) or (spans + 1,).
        """
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

    Every window is searched completely, so that no answer is lost at a border if windows overlap by at least
    `max_answer_length` - 1 tokens. A span that is in two windows counts once, with the better score.

    Args:
        context: the text that was cut into the windows.
        windows: the windows of the context, at least one.
        logits: for each window a float array (tokens, 2): start and end logits.
        max_answer_length: the largest number of tokens in an answer.
        n_best: the largest number of spans to return.

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
    """Return (first token, last token, score) of the best spans of one window, in no particular order."""
    positions = window.text_positions
    if not positions:
        return []
    starts, ends = logits[positions.start : positions.stop].astype(np.float64).T  # each (tokens,)
    longest = min(max_answer_length, len(positions))
    beyond = np.full(longest - 1, -np.inf)
    # (tokens, longest): row i holds the scores of the spans that start at token i, in order of length
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
    """Return a character range without white space at either end, which some tokenizers include in their tokens."""
    stretch = context[start:end]
    begin = start + len(stretch) - len(stretch.lstrip())
    return begin, max(begin, start + len(stretch.rstrip()))
