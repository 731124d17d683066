"""Texts as callers give them: one list, or a stream that is cut into lists."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from ftool_runtime.errors import InputError

T = TypeVar("T")  # a text, or an input of several


def listed(texts: Iterable[T]) -> list[T]:
    """`texts` as a list. Raises InputError for what holds no texts, such as bytes or a mapping."""
    _refuse_scalar(texts)
    return list(texts)


def cut(texts: Iterable[T], batch_size: int) -> Iterator[list[T]]:
    """Lists of `batch_size` texts, taken only as they are asked for. Raises InputError at once, as `listed` does."""
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise InputError(f"batch_size must be a whole number of at least 1, got {batch_size!r}")
    _refuse_scalar(texts)
    return _batches(iter(texts), batch_size)


def _batches(texts: Iterator[T], batch_size: int) -> Iterator[list[T]]:
    while batch := list(itertools.islice(texts, batch_size)):
        yield batch


def _refuse_scalar(texts: object) -> None:
    if isinstance(texts, str | bytes | Mapping) or not isinstance(texts, Iterable):
        raise InputError(f"texts must be strings in a list or the like, got {type(texts).__name__}")
