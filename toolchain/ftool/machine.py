"""Describe the machine: the properties that affect a model's speed."""

import os
import platform
from pathlib import Path
from typing import Any

from ftool_runtime.session.threads import usable_threads

# Features by which onnxruntime selects kernels, in order of introduction.
CPU_FEATURES = (
    "sse4_2", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512_vnni", "avx_vnni", "avx512_bf16",
    "amx_int8", "amx_bf16", "asimd", "asimdhp", "asimddp", "i8mm", "sve", "bf16",
)  # fmt: skip


def cpu_features() -> list[str]:
    """Return the processor's features that are in CPU_FEATURES, by Linux names; empty if the system lists none."""
    flags = set(_cpuinfo("flags").split()) | set(_cpuinfo("Features").split())
    return [feature for feature in CPU_FEATURES if feature in flags]


def cpu_name() -> str:
    """Return the processor's name as reported by the system."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def describe_machine() -> dict[str, Any]:
    """Return processor, cores, memory in GB (10^9 bytes), system and Python version, as plain JSON."""
    return {
        "cpu": cpu_name(),
        "cpu_features": cpu_features(),
        "logical_cpus": os.cpu_count(),
        "usable_threads": usable_threads(),
        "memory_gb": _memory_gb(),
        "system": platform.platform(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
    }


def _memory_gb() -> float | None:
    try:
        import psutil
    except ImportError:  # `ftool doctor` reports it
        return None
    total: int = psutil.virtual_memory().total
    return round(total / 1e9, 1)


def _cpuinfo(key: str) -> str:
    """Return the value of the first entry `key` in Linux's /proc/cpuinfo; an empty string on other systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    found = (line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == key)
    return next(found, "")
