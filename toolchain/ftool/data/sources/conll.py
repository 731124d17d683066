"""Read CoNLL files as tables. Each line has a word and the tags of this word; a blank line ends a sentence."""

from collections.abc import Iterator, Sequence

from ftool.data.rows.tag_schemes import DOCUMENT_MARK, tag_problem
from ftool.data.sources.files import DataFile
from ftool.data.table import Row, Table
from ftool.errors import DataError

CONLL_SUFFIXES = (".conll", ".bio", ".iob", ".iob2")
_SNIFFED_LINES = 200  # lines read to recognise CoNLL in a file of another suffix
_Line = tuple[int, list[str]]  # the line's number and its cells


def read_conll(file: DataFile, columns: Sequence[str] | None = None) -> Table:
    """Return a table with one row for each sentence; each cell holds the list of a column's values in the sentence.

    The number of a row is the line number where the sentence starts. Columns are separated by tabs or, if the first
    line has no tab, by spaces. `columns` names all columns; by default, the first is called "tokens" and the last
    "tags". Document markers and comments are skipped. Raises DataError, which names the line, if a line has nothing in
    a column, or has another number of columns than the first line.
    """
    source, lines = file.source, file.text.split("\n")
    separator = _separator(lines)
    parsed = (
        (number, line if not line.strip() else line.rstrip("\r ")) for number, line in enumerate(lines, 1)
    )
    sentences = list(_sentences(source, parsed, separator, None if columns is None else len(columns)))
    if not sentences:
        raise DataError(
            f"{source}: holds no sentence; write a word and its tag on each line, and a blank line between sentences"
        )
    width = len(sentences[0][0][1])
    names = tuple(columns) if columns is not None else _names(width)
    rows = [
        Row(sentence[0][0], tuple([cells[column] for _, cells in sentence] for column in range(width)))
        for sentence in sentences
    ]
    return Table(source, names, rows)


def is_conll(file: DataFile) -> bool:
    """Whether a text file is in CoNLL format: each line ends with an entity tag.

    Only the first 200 lines are read; blank lines, document markers and comments are ignored.
    """
    lines = [line.rstrip() for line in file.text.split("\n")[:_SNIFFED_LINES]]
    cells = [line.split() for line in lines if line and not line.startswith((DOCUMENT_MARK, "# "))]
    return len(cells) > 1 and all(len(line) > 1 and tag_problem(line[-1]) is None for line in cells)


def _sentences(
    source: str, lines: Iterator[tuple[int, str]], separator: str | None, width: int | None
) -> Iterator[list[_Line]]:
    sentence: list[_Line] = []
    for number, line in lines:
        if not line.strip() or line.startswith(DOCUMENT_MARK):
            if sentence:
                yield sentence
            sentence = []
            continue
        cells = _cells(line, separator)
        if _is_comment(line, cells):
            continue
        width = len(cells) if width is None else width
        _check(source, number, cells, width)
        sentence.append((number, cells))
    if sentence:
        yield sentence


def _check(source: str, number: int, cells: list[str], width: int) -> None:
    if len(cells) != width or len(cells) < 2:
        want = f"{width} columns" if width > 1 else "a word and its tag"
        raise DataError(
            f"{source}: line {number} has {len(cells)} column{'s' if len(cells) != 1 else ''} instead of "
            f"{want}: {'  '.join(cells)[:60]!r}; correct it, or separate sentences by blank lines"
        )
    if "" in cells:
        raise DataError(
            f"{source}: line {number} has nothing in column {cells.index('') + 1}; correct or remove it"
        )


def _cells(line: str, separator: str | None) -> list[str]:
    """Return the cells of a line, separated by single tabs if `separator` is a tab, else by one or more spaces."""
    if separator == "\t":
        return line.split("\t")
    return [cell for cell in line.split(" ") if cell]


def _is_comment(line: str, cells: list[str]) -> bool:
    """Whether a line is a comment, such as "# text = …".

    A line that starts with "# " but ends with an entity tag is not a comment: the word in this line is "#".
    """
    return line.startswith("# ") and tag_problem(cells[-1]) is not None


def _separator(lines: Sequence[str]) -> str | None:
    words = (line for line in lines if line.strip() and not line.startswith((DOCUMENT_MARK, "# ")))
    return "\t" if "\t" in next(words, "") else None


def _names(width: int) -> tuple[str, ...]:
    return ("tokens", *(f"column{number}" for number in range(2, width)), "tags")
