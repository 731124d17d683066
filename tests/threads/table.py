"""Write the table of docs/reliability.md from the results of `python -m tests.threads`."""

import statistics
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


def _stages(measured: Sequence[float]) -> list[str]:
    """Return what was measured first, tenth, and in the last ten times."""
    return [f"{one:.1f}" for one in (measured[0], measured[:10][-1], statistics.median(measured[-10:]))]


def table(rows: Rows) -> str:
    """Return the table in Markdown."""
    lines = [
        "| run | calls | loads | wrong answers "
        "| resident MiB after 1,000 calls | after 10,000 | in the last 10,000 (median) | growth | highest "
        "| malloc's MiB after 1,000 calls | after 10,000 | in the last 10,000 (median) |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, tally in rows:
        memory, allocated = tally["memory_mib"], tally["allocated_mib"]
        held, given = _stages(memory), _stages(allocated) if allocated else ["", "", ""]
        lines.append(
            f"| {name} | {sum(tally['calls'].values()):,} | {tally['loads']:,} | {len(tally['wrong'])} "
            f"| {' | '.join(held)} | {tally['growth']:.1%} | {max(memory):.1f} | {' | '.join(given)} |"
        )
    return "\n".join(lines) + "\n"
