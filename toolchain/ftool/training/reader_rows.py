"""Questions as a Trainer takes them: windows of their contexts, each with the tokens between which its answer lies."""

import logging
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import torch

from ftool.data.cells import listed_rows
from ftool.data.dataset import Split
from ftool.data.rows.questions import Question
from ftool.training.encoder_rows import EncoderRow, EncoderRows
from ftool_export.checkpoints.reader import LoadedReader
from ftool_runtime.postprocessing.spans import NO_ANSWER
from ftool_runtime.text.windows import Window

log = logging.getLogger(__name__)

_AT_ONCE = 512  # questions whose windows, with all their offsets, are in memory together


def window_rows(loaded: LoadedReader, examples: Sequence[Question]) -> EncoderRows:
    """Windows of many contexts, each with the first and the last token of its answer, int64 (2,)."""
    rows = [
        row
        for first in range(0, len(examples), _AT_ONCE)
        for row in _rows(loaded, examples[first : first + _AT_ONCE])
    ]
    return EncoderRows(loaded, rows)


def without_long_questions(split: Split[Question], lengths: Sequence[int], longest: int) -> Split[Question]:
    """Return the questions of at most `longest` tokens; longer ones are dropped with a warning.

    `lengths` are the tokens of each question, without special ones.
    """
    long = [split.examples[place].row for place, length in enumerate(lengths) if length > longest]
    if not long:
        return split
    log.warning(
        "%s: %d question%s dropped (%s), as more than %d tokens leave the context no room in a window; raise "
        "train.max_length or lower train.stride",
        split.source,
        len(long),
        "" if len(long) == 1 else "s",
        listed_rows(long),
        longest,
    )
    return split.take([place for place, length in enumerate(lengths) if length <= longest])


def answer_tokens(window: Window, start: int, end: int) -> tuple[int, int]:
    """The first and the last token of the text's characters from `start` to `end`, as the window holds them.

    Both are `NO_ANSWER` where the window does not hold all of it.
    """
    places = window.text_positions
    offsets = window.offsets[places.start : places.stop]
    if not offsets or offsets[0][0] > start or offsets[-1][1] < end:
        return NO_ANSWER, NO_ANSWER
    first = bisect_right(
        offsets, start, key=lambda pair: pair[1]
    )  # the first token that ends behind the start
    last = bisect_left(offsets, end, key=lambda pair: pair[0]) - 1  # the last that begins before the end
    return (places[first], places[last]) if first <= last else (NO_ANSWER, NO_ANSWER)


def _rows(loaded: LoadedReader, examples: Sequence[Question]) -> list[EncoderRow]:
    windows = loaded.windows(
        [example.question for example in examples], [example.context for example in examples]
    )
    return [
        _row(window, example) for example, of_one in zip(examples, windows, strict=True) for window in of_one
    ]


def _row(window: Window, example: Question) -> EncoderRow:
    """A window with its answer: of several the first, as in the SQuAD scripts."""
    places = NO_ANSWER, NO_ANSWER
    if example.answers:
        first = example.starts[0]
        places = answer_tokens(window, first, first + len(example.answers[0]))
    return EncoderRow.of(window.tokens, torch.tensor(places))
