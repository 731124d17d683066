"""Group rows of similar lengths, so that a run pads little."""

from collections.abc import Sequence
from typing import Final

# A run reads all weights once, which takes as long as the arithmetic for this many tokens (measured for GPT-2 small on
# one thread: 10 ms for a single token, 1.4 ms per token for 512). A row that needs more padding than this is faster in
# a run of its own.
_PADDING: Final = 8


def length_groups(lengths: Sequence[int]) -> list[slice]:
    """Return slices of neighbouring rows with similar lengths, which together cover all rows in order."""
    groups: list[slice] = []
    shortest = longest = 0
    for row, length in enumerate(lengths):
        shortest, longest = min(shortest, length), max(longest, length)
        if groups and longest - shortest <= _PADDING:
            groups[-1] = slice(groups[-1].start, row + 1)
        else:
            groups.append(slice(row, row + 1))
            shortest = longest = length
    return groups
