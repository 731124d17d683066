"""Write the table of docs/reliability.md from the numbers of `python -m tests.faults --json`."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ftool_runtime.atomic import replacing
from tests.helpers.paths import REPOSITORY

PAGE: Final = REPOSITORY / "docs" / "reliability.md"
BEGIN, END = "<!-- table: written by `make test-faults` -->", "<!-- end of table -->"


def write_table(parts: Sequence[Mapping[str, Any]]) -> None:
    """Replace the table in docs/reliability.md by the numbers in `parts`, which ran with the same points and disks."""
    text = PAGE.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    with replacing(PAGE) as file:
        file.write(f"{head}{BEGIN}\n\n{table(parts)}\n{END}{tail}")


def table(parts: Sequence[Mapping[str, Any]]) -> str:
    """Return the table, and a line on how the disks were filled and which points were drawn."""
    lines = [
        "| command | changes of files | kills, plain | kills, as process 1 | of these too late | full disks "
        "| of these large enough | read-only | promises broken |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in [one for part in parts for one in part["commands"]]:
        cells = ("changes", "kills", "numbered", "too_late", "full", "enough", "read_only")
        numbers = " | ".join(str(one[cell]) for cell in cells)
        lines.append(f"| {one['command']} | {numbers} | {len(one['broken'])} |")
    first = parts[0]
    disks = {
        "mounted": "Disks were small file systems in memory that were mounted for the test.",
        "imitated": "No file system could be mounted here, so calls were made to fail as on a full disk.",
    }[first["disks"]]
    numbered = "" if first["namespaces"] else " No namespace for processes could be made here."
    return "\n".join(
        [*lines, "", f"Run with `--points {first['points']} --seed {first['seed']}`. {disks}{numbered}", ""]
    )
