"""Read plain text files as tables.

A file has one text per line or per paragraph; or two files, of sources and targets, are aligned line by line.
"""

import re
from pathlib import Path

from ftool.data.sources.files import DataFile, read_text
from ftool.data.table import Row, Table
from ftool.errors import DataError

_BLANK_LINES = re.compile(r"\n[^\S\n]*\n\s*")


def read_plain_text(file: DataFile) -> Table:
    """Return a table with one column, "text": the paragraphs of the file if blank lines separate them, else the lines.

    The number of a row is the line number where the text starts.
    """
    text = file.text.replace("\r\n", "\n")
    inner = text.strip("\n")
    has_paragraphs = _BLANK_LINES.search(inner) is not None
    rows = _paragraphs(text) if has_paragraphs else _lines(text)
    return Table(file.source, ("text",), rows)


def read_aligned(source: Path, target: Path) -> Table:
    """Return a table with the columns "source" and "target" from two files that are aligned line by line.

    Blank lines at the end of a file are ignored. Raises DataError if the files have different numbers of lines.
    """
    sources, targets = (
        [line.removesuffix("\r") for line in read_text(path).rstrip().split("\n")]
        for path in (source, target)
    )
    if len(sources) != len(targets):
        raise DataError(
            f"{source}: has {len(sources)} lines and {target} has {len(targets)}; "
            "each line of one file must belong to the same line of the other"
        )
    rows = [Row(number, cells) for number, cells in enumerate(zip(sources, targets, strict=True), start=1)]
    return Table(f"{source} with {target.name}", ("source", "target"), rows)


def _lines(text: str) -> list[Row]:
    return [Row(number, (line,)) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]


def _paragraphs(text: str) -> list[Row]:
    rows: list[Row] = []
    start, lines = 0, list[str]()
    for number, line in enumerate([*text.split("\n"), ""], start=1):
        if line.strip():
            start = start if lines else number
            lines.append(line)
        elif lines:
            rows.append(Row(start, ("\n".join(lines),)))
            lines = []
    return rows
