"""Merge the outputs of a text's overlapping windows into one row of scores for each token."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.numerics import softmax
from ftool_runtime.postprocessing.entities import TokenScores, token_groups
from ftool_runtime.postprocessing.tag_names import begins, outside
from ftool_runtime.text.windows import Window
from ftool_runtime.text.words import CharRange, split_words


def stitch(
    text: str,
    windows: Sequence[Window],
    outputs: Sequence[NDArray[np.float32]],
    labels: Sequence[str],
    words: Sequence[CharRange] | None = None,
) -> TokenScores:
    """Return the scores of a text's tokens, merged from the scores of its windows.

    In the overlap of two windows, tokens before a cut get the first window's scores, and tokens after the cut the
    second's. The cut is at the start of a word, as near as possible to the middle of the overlap, where no entity
    of either window crosses it, so that no entity is split.

    Args:
        text: the given text.
        windows: the windows of the text, in order; each overlaps the next.
        outputs: for each window its logits, float32 (tokens, labels).
        labels: the names of the tags.
        words: the character ranges of the words; None to split the text with `split_words`.
    """
    offsets, first_scores = _text_tokens(windows[0], outputs[0])
    if len(windows) == 1:
        return TokenScores(offsets, first_scores)
    places = split_words(text) if words is None else words
    scores = list(first_scores)  # one row for each token
    for window, output in zip(windows[1:], outputs[1:], strict=True):
        more_offsets, more_scores = _text_tokens(window, output)
        shared = shared_tokens(offsets, more_offsets)
        first = len(offsets) - shared
        before = np.array(scores[first:]).reshape(shared, len(labels))
        inside = _between(places, offsets[first:])
        cut = _cut(text, offsets[first:], inside, before, more_scores[:shared], labels)
        del offsets[first + cut :], scores[first + cut :]
        offsets += more_offsets[cut:]
        scores += list(more_scores[cut:])
    return TokenScores(offsets, np.array(scores).reshape(len(offsets), len(labels)))


def shared_tokens(first: Sequence[CharRange], second: Sequence[CharRange]) -> int:
    """Return the number of tokens at the end of one window that are also at the start of the next.

    `first` and `second` are the character ranges of the two windows' tokens.
    """
    for count in range(min(len(first), len(second)), 0, -1):
        if first[-count] == second[0] and first[-count:] == second[:count]:
            return count
    return 0


def _between(words: Sequence[CharRange], offsets: Sequence[CharRange]) -> Sequence[CharRange]:
    """Return the words that overlap with any of the tokens."""
    if not offsets:
        return ()
    first = bisect_right(words, offsets[0][0], key=lambda word: word[1])
    last = bisect_left(words, offsets[-1][1], key=lambda word: word[0])
    return words[first:last]


def _text_tokens(window: Window, output: NDArray[np.float32]) -> tuple[list[CharRange], NDArray[np.float64]]:
    """Return the character ranges and probabilities (tokens, labels) of a window's tokens that belong to the text."""
    span = window.text_positions
    return window.offsets[span.start : span.stop], softmax(output[span.start : span.stop])


def _cut(
    text: str,
    offsets: Sequence[CharRange],  # the ranges of the tokens that both windows hold
    words: Sequence[CharRange],
    first: NDArray[np.float64],  # (shared tokens, labels)
    second: NDArray[np.float64],
    labels: Sequence[str],
) -> int:
    """Return how many of the shared tokens get the first window's scores; the rest get the second window's scores."""
    middle = len(offsets) // 2
    starts = [group[0].position for group in token_groups(text, offsets, words)]
    free = [
        start
        for before, start in zip([None, *starts], starts, strict=False)
        if not any(_continues(scores, before, start, labels) for scores in (first, second))
    ]
    return min(free or starts or [middle], key=lambda start: abs(start - middle))


def _continues(scores: NDArray[np.float64], before: int | None, start: int, labels: Sequence[str]) -> bool:
    """Return whether the word at token `start` continues the entity of the previous word, at token `before`.

    If `before` is None, the previous word is unknown, and any word inside an entity counts as continuing one.
    """
    tag = labels[int(scores[start].argmax())]
    if before is None:
        return not outside(tag)
    return not outside(tag) and not begins(labels[int(scores[before].argmax())], tag)
