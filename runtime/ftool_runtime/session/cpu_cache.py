"""Find the size of a core's second-level cache, and the number of tokens whose activations fit into it."""

import functools
import sys
from pathlib import Path
from typing import Final

from ftool_runtime.session.threads import allowed_cpus, darwin_number

_USUAL_L2: Final = (
    1 << 20
)  # bytes, if the size is unknown: that of most server cores and of laptops since 2020
_USUAL_WIDTH: Final = 1536  # float32 numbers, if a bundle does not say: the inner width of a 384-wide encoder
# With fewer tokens, the time to read weights counts; with more, a run is long enough to be worth nothing further.
_FEWEST, _MOST = 64, 1024
_UNITS: Final = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def tokens_in_cache(cache_bytes: int, widest_activation: int | None) -> int:
    """Return the number of tokens whose widest activation fits into a cache, from 64 to 1024.

    Runs of this size are the fastest (docs/performance.md): each operator finds its input in the cache.

    Args:
        cache_bytes: the size of the cache.
        widest_activation: the largest number of float32 values that a graph computes for a token; None if unknown.
    """
    return max(_FEWEST, min(_MOST, cache_bytes // (4 * (widest_activation or _USUAL_WIDTH))))


@functools.cache
def l2_bytes() -> int:
    """Return the size of one core's second-level cache in bytes, found once a process; 1 MiB if it is unknown."""
    found = None
    if sys.platform == "linux":
        found = linux_l2(min(allowed_cpus(), default=0))
    elif sys.platform == "darwin":
        found = _darwin_l2()
    return found or _USUAL_L2


def linux_l2(cpu: int, root: Path = Path("/")) -> int | None:
    """Return one core's share of the second-level cache of a logical CPU, in bytes; None if unknown.

    Args:
        cpu: the number of the logical CPU; hyper-threads of a core count as one core.
        root: the folder that contains /sys.
    """
    folder = root / f"sys/devices/system/cpu/cpu{cpu}"
    try:
        siblings = _bits(folder / "topology/thread_siblings")
        for cache in folder.glob("cache/index*"):
            if (cache / "level").read_text().strip() == "2":
                size = (cache / "size").read_text().strip()
                cores = max(1, _bits(cache / "shared_cpu_map") // siblings)
                return int(size[:-1]) * _UNITS[size[-1]] // cores
    except (OSError, ValueError, KeyError, IndexError, ZeroDivisionError):
        return None
    return None


def _bits(path: Path) -> int:
    """Return the number of CPUs in a mask of /sys, such as "00000000,00000003"."""
    return int(path.read_text().strip().replace(",", ""), 16).bit_count()


def _darwin_l2() -> int | None:
    """Return a core's share of the second-level cache on macOS, of the performance cores if there are several kinds."""
    size = darwin_number("hw.perflevel0.l2cachesize", "hw.l2cachesize")
    return size // max(1, darwin_number("hw.perflevel0.cpusperl2") or 1) if size else None
