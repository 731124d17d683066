"""The number of threads to use: limited by the CPUs that this process may run on, its CPU quota and physical cores.

Each query of the operating system may fail (no /sys, a sandbox); a limit that is unknown is ignored.
"""

import contextlib
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path

from ftool_runtime.errors import InputError

_MOST_THREADS_PER_CPU = 4  # a larger number is a mistake in the caller's arithmetic


def resolve_threads(threads: int | None) -> int:
    """The number of threads to use: `threads`, or for None `usable_threads()`.

    Raises InputError for a number below 1, or above four times the machine's logical CPUs.
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
    """The least of allowed CPUs, CPU quota (rounded down) and physical cores; at least 1."""
    allowed = allowed_cpus()
    limits = [len(allowed), physical_cores(allowed)]
    quota = cpu_quota()
    if quota is not None:
        limits.append(int(quota))
    return max(1, min(limits))


def allowed_cpus() -> frozenset[int]:
    """The numbers of the logical CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def cpu_quota(root: Path = Path("/")) -> float | None:
    """The CPU time, in CPUs, that this process's control groups allow, the least of them; None if there is no limit.

    Args:
        root: the folder that holds /proc and /sys.
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
    """The quotas of `group` and of every group above it, up to the mount.

    In a container the path may be the host's, and not exist.
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
    """Physical cores among the allowed CPUs (hyper-threads of one core count once); all CPUs if unknown.

    Args:
        allowed: numbers of logical CPUs.
        root: the folder that holds /sys.
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
    """Performance cores on Apple silicon; all physical cores on Intel."""
    import ctypes

    library = ctypes.CDLL(None)
    for name in (b"hw.perflevel0.physicalcpu", b"hw.physicalcpu"):
        value, size = ctypes.c_int32(0), ctypes.c_size_t(4)
        if library.sysctlbyname(name, ctypes.byref(value), ctypes.byref(size), None, 0) == 0:
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
    """The number of records that GetLogicalProcessorInformationEx wrote; each begins with kind and size, uint32."""
    count = offset = 0
    while offset + 8 <= len(buffer):
        _, size = struct.unpack_from("<II", buffer, offset)
        if size == 0:
            break
        count, offset = count + 1, offset + size
    return count
