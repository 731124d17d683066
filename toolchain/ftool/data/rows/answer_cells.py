"""Read the answers to a question from a cell, as texts with start offsets.

The cell has the form of SQuAD's files, the form of SQuAD on the hub, or holds only the texts.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ftool.data.cell_literals import BadLiteralError, read_literal
from ftool.data.cells import is_missing
from ftool.data.table import Cell

Answer = tuple[
    str, int | None
]  # the answer's text and its start offset in characters; None if the source has no offset

_LITERAL = re.compile(r"""\s*([\[{]\s*(['"{\]]|array\()|array\()""")
_UNKNOWN = -1  # some data sets write -1 for an unknown start; any other negative number is an error


class BadAnswerError(Exception):
    """Raised for a cell that does not hold answers.

    The message is a phrase to put after the row, such as "with an answer that is not a text".
    """


def read_answers(cell: Cell, starts: Cell = None) -> list[Answer]:
    """Return the answers in a cell, each as (text, start offset in characters); an empty list for an empty cell.

    A start offset is None if the source does not have it.

    Args:
        cell: a text, a list of texts, a list of `{"text", "answer_start"}`, or `{"text": […], "answer_start": […]}`; a
            list or an object can also be written as text, in JSON or as pandas writes them.
        starts: the cell of the column of start offsets, which is used only for texts: a number, or a list with one
            number for each text.

    Raises BadAnswerError if a text is empty or not a string, if an offset is not a whole number, or if there are not as
    many offsets as texts.
    """
    cell = _literal(cell)
    if is_missing(cell):
        return []
    if isinstance(cell, Mapping):
        if "text" not in cell:
            raise BadAnswerError(f"with answers without a text: {str(cell)[:60]!r}")
        return _paired(cell["text"], cell.get("answer_start"))
    if (
        isinstance(cell, Sequence)
        and not isinstance(cell, str)
        and any(isinstance(one, Mapping) for one in cell)
    ):
        return [answer for one in cell for answer in read_answers(one)]
    return _paired(cell, starts)


def _paired(texts: Any, starts: Any) -> list[Answer]:
    """Return (text, start offset) for each text. None stands for an offset that is missing or -1.

    `texts` and `starts` are each a list or a single value. Raises BadAnswerError for the same reasons as
    `read_answers`.
    """
    texts = [] if is_missing(texts) else _listed(texts)
    for text in texts:
        if not isinstance(text, str) or is_missing(text):
            raise BadAnswerError(f"with an answer that is not a text, or empty: {str(text)[:60]!r}")
    starts = _read_starts(starts)
    if not starts:
        return [(text, None) for text in texts]
    if len(texts) != len(starts):
        raise BadAnswerError(f"with {len(texts)} answers and {len(starts)} starts")
    return list(zip(texts, starts, strict=True))


def _literal(cell: Cell) -> Cell:
    """Return the list or dict that a cell holds as text; any other cell, such as an answer `[1]`, unchanged."""
    if not (isinstance(cell, str) and _LITERAL.match(cell)):
        return cell
    try:
        return read_literal(cell)
    except BadLiteralError as error:
        raise BadAnswerError(f"with an answer that {error}: {cell[:60]!r}") from error


def _read_starts(starts: Any) -> list[int | None]:
    try:
        starts = read_literal(starts)
    except BadLiteralError as error:
        raise BadAnswerError(f"with a start that {error}: {str(starts)[:40]!r}") from error
    return [] if is_missing(starts) else [_read_start(start) for start in _listed(starts)]


def _read_start(start: Any) -> int | None:
    if is_missing(start):
        return None
    try:
        number = int(start) if float(start) == int(float(start)) else None
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or isinstance(start, bool):
        raise BadAnswerError(f"with a start that is not a whole number: {str(start)[:40]!r}")
    return None if number == _UNKNOWN else number


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
