"""The tables that `python -m benchmarks.peers` prints."""

from collections.abc import Mapping
from typing import Any


def speed(found: Mapping[str, Any]) -> list[list[str]]:
    """Return a row for each timed engine: its figure in each scenario, and how many times better the subject is."""
    scenarios = found["scenarios"]
    rows = [["", *(f"{name} ({one['unit']})" for name, one in scenarios.items())]]
    for name, engine in found["engines"].items():
        cells = (_cell(engine["scenarios"][one], name == found["subject"]) for one in scenarios)
        rows.append([name, *cells])
    return rows


def _cell(figure: Mapping[str, Any], subject: bool) -> str:
    value = f"{figure['value']:,.2f}" if figure["value"] < 100 else f"{figure['value']:,.0f}"
    return value if subject else f"{value} ({figure['ratio']:.2f}x)"


def quality(found: Mapping[str, Any]) -> list[list[str]]:
    """Return a row for each engine: its answers beside torch's; and if it was timed, its start, memory and size."""
    keys = list(next(iter(found["answers"].values())))
    rows = [["", *(key.replace("_", " ") for key in keys), "start (ms)", "memory (MB)", "size (MB)"]]
    for name, answers in found["answers"].items():
        engine = found["engines"].get(name)
        costs = ("cold_start_ms", "peak_memory_mb", "size_mb")
        cells = [f"{engine[key]:,.1f}" for key in costs] if engine else ["not timed", "", ""]
        rows.append([name, *(f"{answers[key]:.4f}" for key in keys), *cells])
    return rows


def sentences(found: Mapping[str, Any]) -> list[str]:
    """Return the engines that failed the check of answers, OpenVINO's best variants, and warnings."""
    lines = [
        f"{name} is not timed: its answers agree with torch's to {found['answers'][name]['agreement']:.4f}"
        for name in found["failed"]
    ]
    for scenario in found["scenarios"]:
        variants = [name for name in found["engines"] if name.startswith("openvino")]
        if variants:
            ratios = {name: found["engines"][name]["scenarios"][scenario]["ratio"] for name in variants}
            best = min(ratios, key=lambda name: ratios[name])
            lines.append(
                f"{scenario}: OpenVINO is fastest as {best}; ours is {ratios[best]:.2f} times as fast"
            )
    busy = [name for name, engine in found["engines"].items() if engine["waiting_cpu"] > 0.05]
    if busy:
        lines.append(f"warning: {', '.join(busy)} used the processor while others were timed")
    if disturbed := found["contention"]["disturbed"]:
        lines.append(f"warning: while the engines were timed, {' and '.join(disturbed)}; time again")
    return lines
