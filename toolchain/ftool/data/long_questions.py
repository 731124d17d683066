"""Questions that leave their context no room in a model's window."""

import logging
from collections.abc import Sequence

from ftool.data.examples import listed_rows
from ftool.data.questions import QuestionSplit

log = logging.getLogger(__name__)


def without_long_questions(split: QuestionSplit, lengths: Sequence[int], longest: int) -> QuestionSplit:
    """The questions of at most `longest` tokens; the others are dropped with a warning.

    `lengths` are the tokens of each question, special ones left out.
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
