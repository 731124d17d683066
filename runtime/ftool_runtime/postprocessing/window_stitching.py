"""The windows of one text put together again: what the model says of every token, once."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.numerics import softmax
from ftool_runtime.postprocessing.entities import TokenScores, token_groups
from ftool_runtime.postprocessing.tag_names import begins, outside
from ftool_runtime.text.windows import Window
from ftool_runtime.text.words import Span, split_words


def stitched(
    text: str,
    windows: Sequence[Window],
    outputs: Sequence[NDArray[np.float32]],
    labels: Sequence[str],
    words: Sequence[Span] | None = None,
) -> TokenScores:
    """The scores of a text's tokens from those of its windows.

    Where two windows overlap, the tokens before a cut are the first one's and those after it the second's. The cut
    is the word nearest to the middle at which neither of them is within an entity, so that none is split.

    Args:
        text: as it was given.
        windows: of the text, first to last; each overlaps the next.
        outputs: logits float32 (tokens, labels), one array a window.
        labels: the names of the tags.
        words: where the words stand; None: as `split_words` has them.
    """
    offsets, first_scores = _own(windows[0], outputs[0])
    if len(windows) == 1:
        return TokenScores(offsets, first_scores)
    places = split_words(text) if words is None else words
    scores = list(first_scores)  # a row a token, to be cut and extended in place
    for window, output in zip(windows[1:], outputs[1:], strict=True):
        more_offsets, more_scores = _own(window, output)
        shared = shared_tokens(offsets, more_offsets)
        first = len(offsets) - shared
        before = np.array(scores[first:]).reshape(shared, len(labels))
        inside = _between(places, offsets[first:])
        cut = _cut(text, offsets[first:], inside, before, more_scores[:shared], labels)
        del offsets[first + cut :], scores[first + cut :]
        offsets += more_offsets[cut:]
        scores += list(more_scores[cut:])
    return TokenScores(offsets, np.array(scores).reshape(len(offsets), len(labels)))


def shared_tokens(first: Sequence[Span], second: Sequence[Span]) -> int:
    """How many of the last tokens of one window are the first of the next."""
    for count in range(min(len(first), len(second)), 0, -1):
        if first[-count] == second[0] and first[-count:] == second[:count]:
            return count
    return 0


def _between(words: Sequence[Span], offsets: Sequence[Span]) -> Sequence[Span]:
    """The words that some tokens touch."""
    if not offsets:
        return ()
    first = bisect_right(words, offsets[0][0], key=lambda word: word[1])
    last = bisect_left(words, offsets[-1][1], key=lambda word: word[0])
    return words[first:last]


def _own(window: Window, output: NDArray[np.float32]) -> tuple[list[Span], NDArray[np.float64]]:
    """The places and probabilities of a window's tokens of the text."""
    span = window.text_positions
    return window.offsets[span.start : span.stop], softmax(output[span.start : span.stop])


def _cut(
    text: str,
    offsets: Sequence[Span],  # of the tokens that both windows hold
    words: Sequence[Span],
    first: NDArray[np.float64],  # (shared tokens, labels)
    second: NDArray[np.float64],
    labels: Sequence[str],
) -> int:
    """How many of the shared tokens are the first window's."""
    middle = len(offsets) // 2
    starts = [group[0].position for group in token_groups(text, offsets, words)]
    free = [
        start
        for before, start in zip([None, *starts], starts, strict=False)
        if not any(_goes_on(scores, before, start, labels) for scores in (first, second))
    ]
    return min(free or starts or [middle], key=lambda start: abs(start - middle))


def _goes_on(scores: NDArray[np.float64], before: int | None, start: int, labels: Sequence[str]) -> bool:
    """Whether the word at `start` goes on with the entity of the word at `before`; None: which is not seen."""
    tag = labels[int(scores[start].argmax())]
    if before is None:
        return not outside(tag)
    return not outside(tag) and not begins(labels[int(scores[before].argmax())], tag)
