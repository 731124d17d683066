"""Write the table of docs/reliability.md from the results of `python -m tests.fuzz`."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ftool_runtime.atomic import replacing
from tests.fuzz.found import FOUND
from tests.fuzz.target import Target
from tests.helpers.paths import REPOSITORY

PAGE: Final = REPOSITORY / "docs" / "reliability.md"
BEGIN, END = "<!-- fuzzing: written by `make fuzz` -->\n", "<!-- end of fuzzing -->\n"


def write_table(targets: Sequence[Target], results: Sequence[Mapping[str, Any]], seed: int) -> None:
    """Replace the table in docs/reliability.md by the results of a run of `targets`."""
    head, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    _, tail = rest.split(END)
    with replacing(PAGE) as file:
        file.write(f"{head}{BEGIN}\n{table(targets, results, seed)}\n{END}{tail}")


def table(targets: Sequence[Target], results: Sequence[Mapping[str, Any]], seed: int) -> str:
    """Return the table, and a line on the run."""
    lines = [
        "| file | read by | may raise | inputs | seconds | found | mended before |",
        "|---|---|---|---|---|---|---|",
    ]
    for target, result in zip(targets, results, strict=True):
        errors = ", ".join(error.__name__ for error in target.errors)
        mended = sum(one.target == target.name for one in FOUND)
        name = f"`{target.file}` {target.of}".strip()
        lines.append(
            f"| {name} | {target.reads} | {errors} | {result['inputs']:,} | {result['seconds']:,.0f} "
            f"| {len(result['findings'])} | {mended} |"
        )
    inputs = sum(result["inputs"] for result in results)
    lines += ["", f"{inputs:,} inputs. Run with `--inputs {inputs} --seed {seed}`."]
    return "\n".join(lines) + "\n"
