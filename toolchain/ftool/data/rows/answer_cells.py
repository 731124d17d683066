"""Read answers, in SQuAD's form, the hub's or a flat one, as texts with their first characters."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ftool.data.cells import is_missing
from ftool.data.table import Cell

Answer = tuple[str, int | None]  # a text and its first character; None if the source does not say

_UNKNOWN = (
    -1
)  # what some data sets write where they don't know the start; any other below zero is a wrong one


class BadAnswerError(Exception):
    """A cell is not an answer; the text says why, as the end of a sentence."""


def read_answers(cell: Cell, starts: Cell = None) -> list[Answer]:
    """Return the answers of a row; none for an empty cell.

    Args:
        cell: a text, a list of texts, a list of `{"text", "answer_start"}`, or `{"text": […], "answer_start": […]}`;
            or one of the last three as JSON in a string.
        starts: the cell of the offsets, for texts without offsets of their own: a number, or a list of as many.

    Raises BadAnswerError.
    """
    if isinstance(cell, str) and cell.strip()[:2] in ('["', "[{", '{"', "[]"):  # a list or object within CSV
        try:
            cell = json.loads(cell)
        except json.JSONDecodeError as error:
            raise BadAnswerError(f"with answers that look like JSON and are not: {error.msg}") from error
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
    """Return texts with their starts; a start that is missing, or -1, is not known."""
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
