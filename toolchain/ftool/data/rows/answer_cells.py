"""Read the answers to a question from a cell, in SQuAD's, the hub's or a flat form, as texts with start offsets."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ftool.data.cells import is_missing
from ftool.data.table import Cell

Answer = tuple[
    str, int | None
]  # the answer's text and its start offset in characters; None if the source has no offset

_UNKNOWN = -1  # some data sets write -1 for an unknown start; any other negative number is an error


class BadAnswerError(Exception):
    """Raised for a cell that is not an answer; the message completes a sentence that begins with the row."""


def read_answers(cell: Cell, starts: Cell = None) -> list[Answer]:
    """Return the answers in a row's cell; an empty list for an empty cell.

    Args:
        cell: a text, a list of texts, a list of `{"text", "answer_start"}`, or `{"text": […], "answer_start": […]}`;
            or one of the last three as JSON in a string.
        starts: the cell of the start offsets, used if `cell` has none: a number, or a list with one number for each
            text.

    Raises BadAnswerError if a text is empty or not a string, an offset is not a whole number, or the counts differ.
    """
    if isinstance(cell, str) and cell.strip()[:2] in ('["', "[{", '{"', "[]"):  # a list or object within CSV
        try:
            cell = json.loads(cell)
        except json.JSONDecodeError as error:
            raise BadAnswerError(f"with answers that look like JSON but are not: {error.msg}") from error
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
    """Return each text with its start offset; an offset that is missing or -1 becomes None."""
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


def _read_starts(starts: Any) -> list[int | None]:
    if isinstance(starts, str) and starts.strip().startswith("["):
        starts = starts.strip().strip("[]").replace(",", " ").split()
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
