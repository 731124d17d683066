"""Tables for people: aligned columns of text."""

from collections.abc import Sequence

from tabulate import tabulate


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as lines with aligned columns, the first row as head; the first column to the left, others to the right."""
    head, *body = rows
    align = ["left", *["right"] * (len(head) - 1)]
    text: str = tabulate(
        body, headers=head, tablefmt="simple", colalign=align if body else None, disable_numparse=True
    )
    return text
