"""Weights in pages of 2 MB, where Linux gives them to whoever asks.

A step of generation reads all weights once. In pages of 4 KB the processor looks up an address for every one of them:
GPT-2 small in 8 bits took 15.3 ms a token so, and 10.6 in pages of 2 MB (one thread, a virtual machine). Most systems
are set to "madvise": huge pages for memory that is named. Nothing else changes, and where it fails nothing does.
"""

import contextlib
import ctypes
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_HUGE: Final = 2 << 20  # bytes of a page
_LARGE: Final = 4 << 20  # mappings from here on are worth asking for
_PREFER, _COLLAPSE_NOW = 14, 25  # Linux's MADV_HUGEPAGE and, from 6.1 on, MADV_COLLAPSE

Range = tuple[int, int]  # first address and the one past the last


@contextlib.contextmanager
def huge_pages() -> Iterator[None]:
    """Ask for huge pages for the large memory that is taken within the block and kept past it."""
    if not _allowed():
        yield
        return
    before = set(large_mappings())
    yield
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        for start, end in set(large_mappings()) - before:
            first, last = -(-start // _HUGE) * _HUGE, end // _HUGE * _HUGE
            for advice in (_PREFER, _COLLAPSE_NOW):
                libc.madvise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), advice)


def large_mappings(maps: Path = Path("/proc/self/maps")) -> list[Range]:
    """This process's private, writable memory without a file, in pieces of 4 MB or more; none where not known."""
    try:
        lines = maps.read_text().splitlines()
    except (OSError, ValueError):
        return []
    found = []
    for line in lines:
        fields = line.split()
        if fields[1] == "rw-p" and (len(fields) == 5 or fields[5] == "[heap]"):
            start, _, end = fields[0].partition("-")
            found.append((int(start, 16), int(end, 16)))
    return [(start, end) for start, end in found if end - start >= _LARGE]


def _allowed(switch: Path = Path("/sys/kernel/mm/transparent_hugepage/enabled")) -> bool:
    """Whether the system gives huge pages to memory that asks; where all memory has them there is nothing to do."""
    try:
        return sys.platform == "linux" and "[madvise]" in switch.read_text()
    except OSError:
        return False
