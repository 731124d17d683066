"""Tell texts from labels in a table of two columns whose names are unusual, such as `Ticket text` and `queue`."""

import re
from collections.abc import Sequence
from dataclasses import replace

from ftool.data.cells import is_missing, listed_rows, number_of
from ftool.data.columns import LABEL, TEXT, optional_column
from ftool.data.rows.label_names import whole_number
from ftool.data.table import Cell, Table
from ftool.recipe.data_settings import DataSettings

# Columns that count rows, as pandas writes them: they are neither texts nor labels.
INDEX = re.compile(r"\W*|unnamed\W*\d+(_level_\d+)?|(row)?\W*(id|index|idx)|__index_level_\d+__", re.I)
_NAMELESS = re.compile(r"\W*|unnamed\W*\d+(_level_\d+)?", re.I)  # the latter is what pandas makes of ""
_LARGEST_SHARE = 0.5  # of distinct labels among the rows; a column with more holds something else
_WORDS_OF_A_NAME = 4  # a longer name of a column may be a text: the file then has no header


def with_only_columns(settings: DataSettings, table: Table) -> DataSettings:
    """Return the settings with the names of the text and label columns, if the table has just these two.

    Texts are longer and differ more; labels come back. The settings are returned unchanged if both columns are named in
    the settings or have usual names, or if the cells do not tell the texts from the labels. Raises DataError if a
    column that the settings name is missing.
    """
    columns = [name for name in table.columns if not INDEX.fullmatch(name)]
    if len(columns) != 2 or settings.text_pair is not None or columns[0] == columns[1]:
        return settings
    text, label = (
        optional_column(table, column, name)
        for column, name in ((TEXT, settings.text), (LABEL, settings.label))
    )
    if text is not None and label is not None:
        return settings
    for first, second in (columns, columns[::-1]):
        fits_names = text in (None, first) and label in (None, second)
        has_header = text is not None or label is not None or _are_names(table, first, second)
        if fits_names and has_header and _are_texts_and_labels(table.cells(first), table.cells(second)):
            return replace(settings, text=first, label=second)
    return settings


def ignored_columns(table: Table, used: Sequence[str | None]) -> str:
    """Return a phrase for notes about the columns that are not `used`."""
    others = [name or "one without a name" for name in table.columns if name not in used]
    if not others:
        return "there are no others"
    return f"ignored: {', '.join(dict.fromkeys(others))}"


def nameless_cells(table: Table) -> list[str]:
    """Return a list with one warning if columns without a name hold anything but row numbers; else an empty list.

    The text of a row with too many separators ends in such columns. The first column may hold row names.
    """
    places = [place for place, name in enumerate(table.columns) if place and _NAMELESS.fullmatch(name)]
    filled = [
        (row.number, row.cells[place])
        for row in table.rows
        for place in places
        if not is_missing(row.cells[place]) and whole_number(row.cells[place]) is None
    ]
    if not filled:
        return []
    rows = list(dict.fromkeys(number for number, _ in filled))
    return [
        f"{table.source}: {listed_rows(rows)} with cells in columns without a name, such as "
        f"{str(filled[0][1])[:40]!r}; they are ignored: name the columns, or put quotes around a text with separators"
    ]


def _are_texts_and_labels(first: Sequence[Cell], second: Sequence[Cell]) -> bool:
    rows = [(text, label) for text, label in zip(first, second, strict=True) if not is_missing(text)]
    texts, labels = [text for text, _ in rows], [label for _, label in rows]
    if not texts or not all(isinstance(text, str) for text in texts):
        return False
    different_texts, different_labels = (len({str(cell) for cell in cells}) for cells in (texts, labels))
    longer = sum(map(len, texts)) > sum(len(str(label)) for label in labels)
    return longer and different_texts >= different_labels and _come_back(labels, different_labels)


def _come_back(labels: Sequence[Cell], different: int) -> bool:
    """Whether labels come back in other rows, or are numbers with decimal places."""
    numbers = [number_of(label.replace(",", ".") if isinstance(label, str) else label) for label in labels]
    are_scores = None not in numbers and any(number and not number.is_integer() for number in numbers)
    are_lists = all(isinstance(label, list | dict) for label in labels)
    return are_scores or are_lists or different <= _LARGEST_SHARE * len(labels)


def _are_names(table: Table, text: str, label: str) -> bool:
    """Whether the first line of the file holds names of columns, and not the first example."""
    values = {str(cell).strip().casefold() for name in (text, label) for cell in table.cells(name)}
    if values & {text.casefold(), label.casefold()}:
        return False
    lengths = sorted(len(str(cell)) for cell in table.cells(text))
    if not lengths:
        return True
    return len(text.split()) <= _WORDS_OF_A_NAME or 2 * len(text) < lengths[len(lengths) // 2]
