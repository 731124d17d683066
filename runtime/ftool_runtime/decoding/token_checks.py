"""Check token ids that a caller gives."""

import operator
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np

from ftool_runtime.errors import InputError


def check_rows(rows: object) -> None:
    """Raise InputError unless `rows` is a list or another sequence, but not a text."""
    if isinstance(rows, str | bytes) or not isinstance(rows, Collection):
        raise InputError(f"rows must be a list of lists of token ids, got {rows!r}")


def check_tokens(tokens: object, name: str, row: int, vocabulary: int, *, empty: bool = False) -> None:
    """Raise InputError unless `tokens`, which errors call `name`, is a list of ids below `vocabulary`.

    An empty list is allowed only if `empty`; `row` is the position in the call, for errors.
    """
    if isinstance(tokens, str | bytes) or not isinstance(tokens, Sequence | np.ndarray):
        raise InputError(f"{name} must be a list of token ids, got {tokens!r}", row=row)
    if not len(tokens) and not empty:
        raise InputError(f"{name} holds no tokens", row=row)
    for token in tokens:
        number = _whole_number(token)
        if number is None:
            raise InputError(f"{name} holds {token!r}, which is not a token id", row=row)
        if number >= vocabulary:
            raise InputError(
                f"{name} holds the token id {number}; the model's ids are below {vocabulary}", row=row
            )


def whole_numbers(ids: object) -> list[int]:
    """Return token ids as Python integers, which tokenizers need.

    Raises InputError unless `ids` is an iterable of integers from 0 to 2**32 - 1.
    """
    if isinstance(ids, str | bytes) or not isinstance(ids, Iterable):
        raise InputError(f"ids must be a list of token ids, got {ids!r}")
    numbers = []
    for position, token in enumerate(ids):
        number = _whole_number(token)
        if number is None or number >= 2**32:
            raise InputError(f"ids[{position}] is {token!r}, which is not a token id")
        numbers.append(number)
    return numbers


def _whole_number(token: Any) -> int | None:
    """Return a token id as a Python integer; None if `token` is not an integer of at least 0."""
    try:
        number = operator.index(token)
    except TypeError:
        return None
    return number if number >= 0 else None
