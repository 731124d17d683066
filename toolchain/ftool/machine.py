"""Describe the machine: the properties that affect a model's speed."""

import os
import platform
from typing import Any

from ftool_runtime.session.processor import cpu_features, cpu_name
from ftool_runtime.session.threads import usable_threads


def describe_machine() -> dict[str, Any]:
    """Return processor, cores, memory in GB (10^9 bytes), system and Python version, as plain JSON."""
    return {
        "cpu": cpu_name(),
        "cpu_features": list(cpu_features()),
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
