"""The machine that was measured on, and the versions of everything that took part."""

from collections.abc import Iterator, Mapping
from typing import Any

from ftool.report.html_page import Section, fill, flat

_NAMES = {
    "cpu": "Processor",
    "cpu_features": "Features",
    "logical_cpus": "Logical processors",
    "usable_threads": "Threads that a model uses",
    "memory_gb": "Memory (GB)",
    "system": "System",
    "architecture": "Architecture",
    "python": "Python",
}


def circumstances(
    machine: Mapping[str, Any] | None,
    versions: Mapping[str, Mapping[str, str]],
    engines: Mapping[str, Any] | None = None,
) -> Section:
    """Return the section.

    Args:
        machine: the machine, as `describe_machine` returns it; None if nothing was timed.
        versions: versions of packages by what they were used for, such as "export".
        engines: the engines of a benchmark's report.
    """
    body = fill("circumstances", rows=list(_rows(machine or {}, versions, engines or {})))
    title = "Machine and versions" if machine else "Versions"
    return Section(anchor="machine", title=title, body=body)


def _rows(
    machine: Mapping[str, Any], versions: Mapping[str, Mapping[str, str]], engines: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    for key, value in machine.items():
        yield _NAMES.get(key, key), " ".join(value) if isinstance(value, list) else flat(value)
    for name, known in versions.items():
        if known:
            yield f"Versions: {name}", flat(known)
    for name, engine in engines.items():
        yield f"Versions: {name}", f"{flat(engine['versions'])}; threads {engine['threads']}"
