"""Write the table of docs/reliability.md from the results of `python -m tests.fuzz`."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ftool_runtime.atomic import replacing
from tests.fuzz.found import FOUND
from tests.fuzz.targets import TARGETS
from tests.helpers.paths import REPOSITORY

PAGE: Final = REPOSITORY / "docs" / "reliability.md"
BEGIN, END = "<!-- fuzzing: written by `make fuzz` -->\n", "<!-- end of fuzzing -->\n"


def write_table(results: Sequence[Mapping[str, Any]]) -> None:
    """Replace the table in docs/reliability.md by the results of all targets, in the order of TARGETS."""
    head, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    _, tail = rest.split(END)
    with replacing(PAGE) as file:
        file.write(f"{head}{BEGIN}\n{table(results)}\n{END}{tail}")


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """Return the table, and how many inputs there were."""
    lines = [
        "| file | read by | may raise | inputs | seconds | found | mended before |",
        "|---|---|---|---|---|---|---|",
    ]
    for target, result in zip(TARGETS, results, strict=True):
        errors = ", ".join(error.__name__ for error in target.errors)
        mended = sum(one.target == target.name for one in FOUND)
        name = f"`{target.file}` {target.of}".strip()
        lines.append(
            f"| {name} | {target.reads} | {errors} | {result['inputs']:,} | {result['seconds']:,.0f} "
            f"| {len(result['findings'])} | {mended} |"
        )
    inputs = sum(result["inputs"] for result in results)
    lines += ["", f"{inputs:,} inputs."]
    return "\n".join(lines) + "\n"
