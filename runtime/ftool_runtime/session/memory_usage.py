"""Measure the peak resident memory of this process, on Linux, macOS and Windows."""

import sys
from pathlib import Path


def peak_memory_mb() -> float | None:
    """Return the peak resident memory of this process in MB (10**6 bytes); None if unknown."""
    if sys.platform == "win32":
        peak = _windows_peak_bytes()
    elif sys.platform == "darwin":
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    else:
        peak = _linux_peak_bytes()
    return None if peak is None else round(peak / 1e6, 1)


def _linux_peak_bytes() -> int | None:
    """Return VmHWM, the peak resident memory in bytes; the peak from getrusage can be that of the parent process."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    lines = (line.split() for line in status.splitlines() if line.startswith("VmHWM:"))
    return next((int(kibibytes) * 1024 for _, kibibytes, _ in lines), None)


def _windows_peak_bytes() -> int | None:
    import ctypes

    class Counters(ctypes.Structure):  # PROCESS_MEMORY_COUNTERS of psapi.h
        _fields_ = (
            ("cb", ctypes.c_ulong),
            ("PageFaultCount", ctypes.c_ulong),
            ("PeakWorkingSetSize", ctypes.c_size_t),
            ("WorkingSetSize", ctypes.c_size_t),
            ("QuotaPeakPagedPoolUsage", ctypes.c_size_t),
            ("QuotaPagedPoolUsage", ctypes.c_size_t),
            ("QuotaPeakNonPagedPoolUsage", ctypes.c_size_t),
            ("QuotaNonPagedPoolUsage", ctypes.c_size_t),
            ("PagefileUsage", ctypes.c_size_t),
            ("PeakPagefileUsage", ctypes.c_size_t),
        )

    counters = Counters(cb=ctypes.sizeof(Counters))
    kernel32 = getattr(ctypes, "windll").kernel32  # noqa: B009  only on Windows
    kernel32.GetCurrentProcess.restype = ctypes.c_void_p
    process = ctypes.c_void_p(kernel32.GetCurrentProcess())
    done = kernel32.K32GetProcessMemoryInfo(process, ctypes.byref(counters), counters.cb)
    return counters.PeakWorkingSetSize if done else None
