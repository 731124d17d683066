"""How many threads a model may use: the CPUs this process is allowed, its quota, and the physical cores.

Every look at the operating system may fail (no /sys, a sandbox); what can't be found out does not limit.
"""

import contextlib
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path

from ftool_runtime.errors import InputError

_MOST_THREADS_PER_CPU = 4  # more than this is a mistake in the caller's arithmetic


def resolve_threads(threads: int | None) -> int:
    """The number of threads to use: `threads` if it makes sense here, or all that are usable for None.

    Raises InputError on zero, a negative number, or more than four times the machine's logical CPUs.
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
    """CPUs' worth of time that this process's control groups grant, the least of them; None if no limit.

    Args:
        root: where /proc and /sys are looked for.
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
    """The quotas of `group` and of every group above it, the mount's own included.

    In a container the path may be the host's and not exist.
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
    """Physical cores among the allowed CPUs (hyper-threads of one core count once); all CPUs where unknown.

    Args:
        allowed: numbers of logical CPUs.
        root: where /sys is looked for.
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
    """Apple silicon's performance cores; where all cores are alike, the physical ones."""
    import ctypes

    library = ctypes.CDLL(None)
    for name in (b"hw.perflevel0.physicalcpu", b"hw.physicalcpu"):
        value, size = ctypes.c_int32(0), ctypes.c_size_t(4)
        if library.sysctlbyname(name, ctypes.byref(value), ctypes.byref(size), None, 0) == 0:
            return value.value
    return None


def _windows_cores() -> int | None:
    import ctypes

    query = getattr(ctypes, "windll").kernel32.GetLogicalProcessorInformationEx  # noqa: B009  absent elsewhere
    size = ctypes.c_ulong(0)
    query(0, None, ctypes.byref(size))  # 0: RelationProcessorCore
    buffer = ctypes.create_string_buffer(size.value)
    return count_records(buffer.raw) if query(0, buffer, ctypes.byref(size)) else None


def count_records(buffer: bytes) -> int:
    """Records in what GetLogicalProcessorInformationEx fills: each begins with kind and size, uint32."""
    count = offset = 0
    while offset + 8 <= len(buffer):
        _, size = struct.unpack_from("<II", buffer, offset)
        if size == 0:
            break
        count, offset = count + 1, offset + size
    return count
