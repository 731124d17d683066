"""Request huge pages (2 MB) for a model's weights on Linux.

A step of generation reads all weights once. With pages of 4 KB, looking up addresses takes much of a step's time: GPT-2
small in 8 bits took 15.3 ms per token, and 10.6 ms with pages of 2 MB (one thread, in a virtual machine). Most systems
are set to "madvise": a program's memory gets huge pages if the program requests them. If the request fails, nothing
changes.
"""

import contextlib
import ctypes
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_HUGE: Final = 2 << 20  # size of a huge page in bytes
_LARGE: Final = 4 << 20  # size in bytes of the smallest mapping that is worth a request
_PREFER, _COLLAPSE_NOW = 14, 25  # MADV_HUGEPAGE and, since Linux 6.1, MADV_COLLAPSE

Range = tuple[int, int]  # the first address of a mapping, and the address after its end


@contextlib.contextmanager
def huge_pages() -> Iterator[None]:
    """Request huge pages for large memory that is allocated within the block and still held at its end."""
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
    """Return the address ranges of this process's private, writable, anonymous mappings of 4 MB or more.

    `maps` is the file that lists the mappings. Returns an empty list if the file can't be read.
    """
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
    """Return whether the file `switch` says that the system gives huge pages only on request."""
    try:
        return sys.platform == "linux" and "[madvise]" in switch.read_text()
    except OSError:
        return False
