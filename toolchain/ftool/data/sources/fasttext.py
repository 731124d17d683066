"""Read fastText's files of labelled texts as tables: each line has labels such as `__label__spam`, and a text."""

from ftool.data.sources.files import DataFile
from ftool.data.table import Row, Table

_MARK = "__label__"
FASTTEXT_SUFFIXES = (".txt", ".ft", ".train", ".valid", ".test")
_SNIFFED_LINES = 200


def is_fasttext(file: DataFile) -> bool:
    """Whether a text file is fastText's: each of the first 200 lines that are not blank has a word `__label__NAME`."""
    lines = [line for line in file.text.split("\n", _SNIFFED_LINES)[:_SNIFFED_LINES] if line.strip()]
    return bool(lines) and all(any(map(_is_label, line.split())) for line in lines)


def read_fasttext(file: DataFile) -> Table:
    """Return a table with the columns "text" and "label".

    A cell of "label" is a name, or a list of names if a line has several labels. Labels may stand before or after the
    text, and commas around labels are no part of them.
    """
    found: list[tuple[int, str, list[str]]] = []
    for number, line in enumerate(file.text.split("\n"), start=1):
        words = line.split()
        labels = [word.strip(",").removeprefix(_MARK) for word in words if _is_label(word)]
        text = _without_labels(line)
        if words:
            found.append((number, text, labels))
    is_single = all(len(labels) == 1 for _, _, labels in found)
    rows = [Row(number, (text, labels[0] if is_single else labels)) for number, text, labels in found]
    return Table(file.source, ("text", "label"), rows)


def _is_label(word: str) -> bool:
    return word.strip(",").startswith(_MARK) and len(word.strip(",")) > len(_MARK)


def _without_labels(line: str) -> str:
    """Return the text of a line, from the first to the last word that is no label, with its own spaces."""
    text = line.strip()
    while (parts := text.split(None, 1)) and (_is_label(parts[0]) or parts[0] == ","):
        text = parts[1] if len(parts) > 1 else ""
    while (parts := text.rsplit(None, 1)) and _is_label(parts[-1]):
        text = parts[0] if len(parts) > 1 else ""
    return text.strip()
