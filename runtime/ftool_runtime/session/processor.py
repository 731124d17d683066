"""Name the processor and its instruction sets, by which onnxruntime selects kernels."""

import functools
import platform
import sys
from pathlib import Path
from typing import Final

from ftool_runtime.session.threads import darwin_number

# Features by which onnxruntime selects kernels, by Linux names, in order of introduction.
CPU_FEATURES: Final = (
    "sse4_2", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512_vnni", "avx_vnni", "avx512_bf16",
    "amx_int8", "amx_bf16", "asimd", "asimdhp", "asimddp", "i8mm", "sve", "bf16", "sme", "sme2",
)  # fmt: skip
_DARWIN: Final = {
    "asimdhp": "FP16",
    "asimddp": "DotProd",
    "i8mm": "I8MM",
    "bf16": "BF16",
    "sme": "SME",
    "sme2": "SME2",
}


@functools.cache
def cpu_features() -> tuple[str, ...]:
    """Return the processor's features that are in CPU_FEATURES; empty if the system lists none, as Windows."""
    if sys.platform == "darwin":
        return tuple(
            name for name, own in _DARWIN.items() if darwin_number(f"hw.optional.arm.FEAT_{own}") == 1
        )
    flags = {*_cpuinfo("flags").split(), *_cpuinfo("Features").split()}
    return tuple(feature for feature in CPU_FEATURES if feature in flags)


@functools.cache
def cpu_name() -> str:
    """Return the processor's name as reported by the system."""
    if sys.platform == "darwin":
        return _darwin_brand() or platform.processor()
    name = _cpuinfo("model name") or platform.processor() or platform.machine()
    part = _cpuinfo("CPU part")  # ARM has numbers in place of a name
    return f"{name} (implementer {_cpuinfo('CPU implementer')}, part {part})" if part else name


def _darwin_brand() -> str:
    """Return macOS's name of the processor, such as "Apple M3"; empty if it gives none."""
    import ctypes

    name, size = ctypes.create_string_buffer(256), ctypes.c_size_t(256)
    failed = ctypes.CDLL(None).sysctlbyname(b"machdep.cpu.brand_string", name, ctypes.byref(size), None, 0)
    return "" if failed else name.value.decode(errors="replace")


def _cpuinfo(key: str) -> str:
    """Return the value of the first entry `key` in Linux's /proc/cpuinfo; an empty string on other systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    found = (line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == key)
    return next(found, "")
