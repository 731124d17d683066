"""Find the number of threads to use, from the CPUs that this process may run on, its CPU quota and the physical cores.

Any query of the operating system can fail (no /sys, a sandbox); an unknown limit is ignored.
"""

import contextlib
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path

from ftool_runtime.errors import InputError

_MOST_THREADS_PER_CPU = 4  # a larger number of threads is taken as a mistake of the caller


def resolve_threads(threads: int | None) -> int:
    """Return the number of threads to use: `threads` if given, otherwise `usable_threads()`.

    Raises InputError unless `threads` is a whole number from 1 to four times the machine's logical CPUs.
    """
    if threads is None:
        return usable_threads()
    if isinstance(threads, bool) or not isinstance(threads, int):
        raise InputError(f"threads must be a whole number or None, got {threads!r}")
    logical = os.cpu_count() or 1
    if not 1 <= threads <= _MOST_THREADS_PER_CPU * logical:
        raise InputError(
            f"threads must lie between 1 and {_MOST_THREADS_PER_CPU * logical} "
            f"(four times this machine's {logical} logical CPUs), got {threads}"
        )
    return threads


def usable_threads() -> int:
    """Return the smallest of three numbers, at least 1: allowed CPUs, CPU quota (rounded down) and physical cores."""
    allowed = allowed_cpus()
    limits = [len(allowed), physical_cores(allowed)]
    quota = cpu_quota()
    if quota is not None:
        limits.append(int(quota))
    return max(1, min(limits))


def allowed_cpus() -> frozenset[int]:
    """Return the numbers of the logical CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Return the smallest CPU quota, in CPUs, of this process's control groups; None if the groups set no limit.

    Args:
        root: the folder that contains /proc and /sys.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    quotas = []
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers == "":
            quotas += _group_quotas(root / "sys/fs/cgroup", group, _quota_v2)
        elif "cpu" in controllers.split(","):
            quotas += _group_quotas(root / "sys/fs/cgroup/cpu", group, _quota_v1)
    return min(quotas, default=None)


def _group_quotas(mount: Path, group: str, read: Callable[[Path], float | None]) -> list[float]:
    """Return the quotas, in CPUs, of `group` and of every group above it, up to `mount`; `read` reads one folder.

    Missing folders are skipped: in a container, the path can be the host's path, which does not exist inside.
    """
    parts = [part for part in group.split("/") if part not in ("", "..")]
    folders = [mount.joinpath(*parts[:depth]) for depth in range(len(parts) + 1)]
    quotas = []
    for folder in folders:
        with contextlib.suppress(OSError, ValueError):
            quota = read(folder)
            if quota is not None:
                quotas.append(quota)
    return quotas


def _quota_v2(folder: Path) -> float | None:
    quota, period = (folder / "cpu.max").read_text().split()
    return None if quota == "max" else int(quota) / int(period)


def _quota_v1(folder: Path) -> float | None:
    quota = int((folder / "cpu.cfs_quota_us").read_text())
    period = int((folder / "cpu.cfs_period_us").read_text())
    return quota / period if quota > 0 else None


def physical_cores(allowed: frozenset[int], root: Path = Path("/")) -> int:
    """Return the number of physical cores among the allowed CPUs; if unknown, the number of allowed CPUs.

    Args:
        allowed: the numbers of logical CPUs; hyper-threads of the same core count once.
        root: the folder that contains /sys.
    """
    cores = None
    if sys.platform == "linux":
        cores = _linux_cores(allowed, root)
    elif sys.platform == "darwin":
        cores = _darwin_cores()
    elif sys.platform == "win32":
        cores = _windows_cores()
    return min(cores, len(allowed)) if cores else len(allowed)


def _linux_cores(allowed: frozenset[int], root: Path) -> int | None:
    try:
        folders = [root / f"sys/devices/system/cpu/cpu{cpu}/topology" for cpu in allowed]
        return len({(folder / "thread_siblings_list").read_text() for folder in folders})
    except OSError:
        return None


def _darwin_cores() -> int | None:
    """Return the number of performance cores on Apple silicon, or of physical cores on Intel; None if unknown."""
    return darwin_number("hw.perflevel0.physicalcpu", "hw.physicalcpu")


def darwin_number(*names: str) -> int | None:
    """Return the first of macOS's system values `names`, as `sysctl` names them, that exists; None if none does."""
    import ctypes

    library = ctypes.CDLL(None)
    for name in names:
        value, size = ctypes.c_int64(0), ctypes.c_size_t(8)  # 32-bit values fill the lower half
        if library.sysctlbyname(name.encode(), ctypes.byref(value), ctypes.byref(size), None, 0) == 0:
            return value.value
    return None


def _windows_cores() -> int | None:
    import ctypes

    query = getattr(ctypes, "windll").kernel32.GetLogicalProcessorInformationEx  # noqa: B009  only on Windows
    size = ctypes.c_ulong(0)
    query(0, None, ctypes.byref(size))  # 0: RelationProcessorCore
    buffer = ctypes.create_string_buffer(size.value)
    return count_records(buffer.raw) if query(0, buffer, ctypes.byref(size)) else None


def count_records(buffer: bytes) -> int:
    """Return the number of records in a buffer from GetLogicalProcessorInformationEx, which is the number of cores.

    Each record begins with its kind and its size in bytes, as uint32.
    """
    count = offset = 0
    while offset + 8 <= len(buffer):
        _, size = struct.unpack_from("<II", buffer, offset)
        if size == 0:
            break
        count, offset = count + 1, offset + size
    return count
