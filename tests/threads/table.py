"""Write the table of docs/reliability.md from the results of `python -m tests.threads`."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ftool_runtime.atomic import replacing
from tests.helpers.paths import REPOSITORY

PAGE: Final = REPOSITORY / "docs" / "reliability.md"
BEGIN, END = "<!-- threads: written by `make test-threads` -->\n", "<!-- end of threads -->\n"

Rows = Sequence[tuple[str, Mapping[str, Any]]]  # the name of a run, and its `Tally.to_json()`


def write_table(rows: Rows) -> None:
    """Replace the table in docs/reliability.md."""
    head, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    _, tail = rest.split(END)
    with replacing(PAGE) as file:
        file.write(f"{head}{BEGIN}\n{table(rows)}\n{END}{tail}")


def table(rows: Rows) -> str:
    """Return the table in Markdown."""
    lines = [
        "| run | calls | loads | wrong answers | memory after 1,000 calls | highest afterwards | growth "
        "| given out by malloc after 1,000 calls | at the end |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, tally in rows:
        memory, allocated = tally["memory_mib"], tally["allocated_mib"]
        ends = [f"{allocated[place]:.1f} MiB" for place in (0, -1)] if allocated else ["", ""]
        lines.append(
            f"| {name} | {sum(tally['calls'].values()):,} | {tally['loads']:,} | {len(tally['wrong'])} "
            f"| {memory[0]:.0f} MiB | {max(memory):.0f} MiB | {tally['growth']:.1%} | {' | '.join(ends)} |"
        )
    return "\n".join(lines) + "\n"
