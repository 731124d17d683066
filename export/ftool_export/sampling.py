"""Some of many texts."""

from collections.abc import Sequence


def spread(texts: Sequence[str], count: int) -> list[str]:
    """`count` texts evenly spread over all, which may be sorted by label; all where there are no more."""
    if len(texts) <= count:
        return list(texts)
    return [texts[position * len(texts) // count] for position in range(count)]
