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
        "| run | calls | loads | wrong answers | resident MiB after 1,000 calls | highest in 10,000 | highest "
        "| growth | malloc's MiB after 1,000 calls | after 10,000 | at the end |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, tally in rows:
        memory, allocated = tally["memory_mib"], tally["allocated_mib"]
        places = (0, min(10, len(allocated)) - 1, -1)
        given = [f"{allocated[place]:.1f}" for place in places] if allocated else ["", "", ""]
        lines.append(
            f"| {name} | {sum(tally['calls'].values()):,} | {tally['loads']:,} | {len(tally['wrong'])} "
            f"| {memory[0]:.1f} | {max(memory[:10]):.1f} | {max(memory):.1f} | {tally['growth']:.1%} "
            f"| {' | '.join(given)} |"
        )
    return "\n".join(lines) + "\n"
