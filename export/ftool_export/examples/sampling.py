"""Take an evenly spread sample."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def spread(texts: Sequence[T], count: int) -> list[T]:
    """Return `count` texts evenly spread over all, which may be sorted by label; all if there are no more."""
    if len(texts) <= count:
        return list(texts)
    return [texts[position * len(texts) // count] for position in range(count)]
