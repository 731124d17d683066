"""Read the cells of a label column. Each cell holds names or numbers of labels, or zeros and ones."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ftool.data.cell_literals import BadLiteralError, read_literal
from ftool.data.columns import LABEL, find_column
from ftool.data.missing_words import missing_labels
from ftool.data.rows.base import first_of
from ftool.data.rows.label_names import LabelNames, listed_numbers, names_for, whole_number
from ftool.data.table import Cell, Table
from ftool.errors import DataError
from ftool.recipe.data_settings import DataSettings

_NUMBERS = re.compile(r"\s*\d+(\s*,\s*\d+)*\s*$")
_FLOAT = re.compile(
    r"\s*[+-]?\d{1,15}\.0+\s*"
)  # how pandas writes a whole number if a cell of its column is empty
_MIN_FITTING = (
    0.5  # smallest share of lists of zeros and ones of one length; the other lists are then mistakes
)

_NAME_KEYS = ("name", "label", "value", "title", "text")  # of the name in an object that describes a label
_IF_A_LABEL = "; if it is a label, call it otherwise, or name it in data.none_label"


@dataclass(frozen=True, slots=True)
class LabelCells:
    """Settings for reading the label cells of a data set.

    Attributes:
        multi_label: whether a text can have any number of labels, rather than exactly one.
        separator: the string that separates the labels within a cell; None if a string is always a single label.
        names: the names of label numbers; None if cells hold names.
        indicators: if cells are lists of zeros and ones, their length: a one says that the text has the label at this
            position of `names`; None if cells hold labels.
        floats: whether all labels are whole numbers, some of which are written as "1.0" and are called "1".
        missing: the words that stand for a missing label, such as "nan": such a cell is read as if it were empty.
    """

    multi_label: bool
    separator: str | None
    names: LabelNames | None
    indicators: int | None = None
    floats: bool = False
    missing: frozenset[str] = frozenset()

    @property
    def form(self) -> str:
        """A phrase that describes the cells, for notes; empty if cells hold labels."""
        if self.floats:
            return " (whole numbers written as 1.0 are read as 1)"
        if self.indicators is None:
            return ""
        named = (self.names or {}).items()
        unnamed = all(name == str(number) for number, name in named)
        how = "; labels are called by position, name them with --label-names" if unnamed else ""
        return f" (lists of {self.indicators} zeros and ones{how})"

    def read(self, cell: Cell, source: str, row: int) -> tuple[str, ...]:
        """Return the distinct label names in a cell.

        `source` and `row` say in error messages where the cell is. Raises DataError if a number has no name in `names`,
        if the cell is not a list of `indicators` zeros and ones and should be and, unless `multi_label` is true, if the
        cell does not hold exactly one label.
        """
        where = f"{source}: row {row}"
        parts = self.parts(cell, where)
        if self.indicators is None:
            labels = [self._name(part, where) for part in parts]
        else:
            labels = self._indicated(parts, where)
        if self.multi_label:
            return tuple(dict.fromkeys(labels))
        if len(labels) == 1:
            return (labels[0],)
        what = "no label" if not labels else f"{len(labels)} labels ({', '.join(labels)})"
        if not labels and self.is_missing(cell):
            raise DataError(
                f"{where} has no label: {cell.strip()!r} stands for a missing one; correct or remove the row"
                f"{_IF_A_LABEL}"
            )
        remedy = "correct it, or use --multi-label" if labels else "add it, or remove the row"
        raise DataError(f"{where} has {what}, but each text needs exactly one; {remedy}")

    def parts(self, cell: Cell, where: str) -> list[Cell]:
        """Return the labels, label numbers, or zeros and ones in a cell. `where` names the cell in error messages."""
        if cell is None or self.is_missing(cell):
            return []
        value = _list_in(cell, where, self.separator)
        if isinstance(value, Mapping) and isinstance(
            choices := value.get("choices"), list
        ):  # of Label Studio
            return list(choices)
        if isinstance(value, Mapping):
            return [name for name, has in value.items() if _is_one(has, where)]
        if isinstance(value, list | tuple):
            return list(value)
        if isinstance(value, str):
            pieces = value.split(self.separator) if self.separator is not None else [value]
            return [piece.strip() for piece in pieces if piece.strip()]
        return [value]

    def is_missing(self, cell: Cell) -> bool:
        """Whether a word that stands for a missing label is the whole cell."""
        return isinstance(cell, str) and cell.strip() in self.missing

    def _indicated(self, parts: Sequence[Cell], where: str) -> list[str]:
        names = list((self.names or {}).values())
        if len(parts) != self.indicators or not all(_is_indicator(part) for part in parts):
            raise DataError(
                f"{where} has the labels {str(list(parts))[:60]}, but the other rows have lists of "
                f"{self.indicators} zeros and ones; correct or remove it"
            )
        return [name for name, part in zip(names, parts, strict=True) if _is_one(part, where)]

    def _name(self, part: Cell, where: str) -> str:
        if isinstance(part, bool):
            part = str(part).lower()
        if isinstance(part, float) and part.is_integer():
            part = int(part)  # a whole column becomes floats if one of its cells was empty
        if not isinstance(part, str | int):
            what = "is neither a name nor a whole number"
            raise DataError(f"{where} has the label {str(part)[:40]}, which {what}; correct or remove it")
        if self.names is None:
            return str(whole_number(part) if self.floats else part)
        number = whole_number(part)
        if number is not None and number in self.names:
            return self.names[number]
        name = str(part).strip()
        if name in self.names.values():
            return name
        remedy = ""
        if number is not None:
            remedy = (
                "; if the labels count otherwise, write the number and a tab before each name in the file"
            )
        raise DataError(
            f"{where} has the label {name!r}, but the names are numbered {listed_numbers(self.names)}{remedy}"
        )


def label_cells(settings: DataSettings, tables: Mapping[str, Table], known: Sequence[str] = ()) -> LabelCells:
    """Return the settings for reading the label cells. Settings that the user did not choose follow from the cells.

    `known` are the labels of the model for which the data is read.

    By default, the data set is multi-label if a cell holds a list, the separator, or several numbers of labels whose
    names are known (`2,27`). Lists of zeros and ones, all of one length, say which labels a text has; without names,
    these labels are called by their positions, from "0".

    Raises DataError if a cell looks like a list but can't be read, or if there are not as many names as zeros and ones.
    """
    first = first_of(tables)
    names = names_for(settings.label_names, first, find_column(first, LABEL, settings.label))
    separator = settings.label_separator
    cells = [
        _list_in(cell, f"{table.source}: row {row}", separator)
        for table in tables.values()
        for row, cell in zip(
            table.numbers, table.cells(find_column(table, LABEL, settings.label)), strict=True
        )
    ]
    multi = settings.multi_label
    if separator is None and (multi or (multi is None and names is not None and _are_numbers(cells))):
        separator = ","
    if multi is None:
        multi = any(_holds_several(cell, separator) for cell in cells)
    labels = {*known, *(names or {}).values(), *filter(None, [settings.none_label])}
    read = LabelCells(multi, separator, names, missing=missing_labels(cells, labels))
    lists = [read.parts(cell, first.source) for cell in cells if not isinstance(cell, Mapping)]
    length = _indicator_length(lists, names)
    if length is None:
        return replace(read, floats=names is None and _are_floats(lists))
    if names is not None and len(names) != length:
        raise DataError(
            f"{first.source}: the labels are lists of {length} zeros and ones, but {len(names)} labels are named "
            f"({settings.label_names or 'by the source'}); name one label for each position"
        )
    positions = {position: str(position) for position in range(length)}
    return replace(read, names=names or positions, indicators=length)


def _list_in(cell: Cell, where: str, separator: str | None) -> Cell:
    """Return the list or dict that a cell holds as text; any other cell unchanged.

    With a separator, a text in brackets that is not a list is returned without the brackets. Raises DataError for such
    a text without a separator.
    """
    try:
        value = read_literal(cell)
        if isinstance(value, list | tuple):
            return [_name_in(part) for part in value]
        return _name_in(value)
    except BadLiteralError as error:
        if separator is not None and str(cell).strip().endswith("]"):
            return str(cell).strip()[1:-1]
        raise DataError(
            f'{where} has the label {str(cell)[:60]!r}, which {error}; write it as ["a", "b"], or name the '
            "separator with --label-separator"
        ) from error


def _name_in(value: Cell) -> Cell:
    """Return the name in an object that describes one label, such as `{"id": 0, "name": "neg"}`; others unchanged."""
    if not isinstance(value, Mapping):
        return value
    named = [value[key] for key in _NAME_KEYS if isinstance(value.get(key), str)]
    return named[0] if named else value


def _indicator_length(lists: Sequence[Sequence[Cell]], names: LabelNames | None) -> int | None:
    """Return the length of lists of zeros and ones; None if the lists hold labels.

    A list of label numbers never holds a number twice, but nearly every list of zeros and ones does. Lists `[0, 1]` and
    `[1, 0]` alone are zeros and ones too, unless the number of names is not 2.
    """
    lengths = Counter(len(one) for one in lists if one)
    length = max(lengths, key=lambda one: lengths[one], default=0)
    if length < 2:
        return None
    fitting = [one for one in lists if len(one) == length and all(_is_indicator(part) for part in one)]
    if length > 2 or any(first == second for first, second in fitting):
        return length if len(fitting) >= _MIN_FITTING * lengths.total() else None
    named = names is None or len(names) == length
    return length if named and len(fitting) == lengths.total() else None


def _are_floats(lists: Sequence[Sequence[Cell]]) -> bool:
    """Whether all labels are whole numbers, and some of them texts such as "1.0"."""
    texts = {part for one in lists for part in one if isinstance(part, str)}
    numbers = all(whole_number(part) is not None for one in lists for part in one)
    return numbers and any(_FLOAT.fullmatch(text) for text in texts)


def _is_indicator(part: Cell) -> bool:
    return isinstance(part, bool) or whole_number(part) in (0, 1)


def _is_one(value: Cell, where: str) -> bool:
    if not _is_indicator(value):
        raise DataError(f"{where} has the value {str(value)[:40]!r} for a label, which is neither 0 nor 1")
    return value is True or whole_number(value) == 1


def _are_numbers(cells: Sequence[Cell]) -> bool:
    return all(isinstance(cell, str) and (_NUMBERS.match(cell) or not cell.strip()) for cell in cells)


def _holds_several(cell: Cell, separator: str | None) -> bool:
    if isinstance(cell, list | tuple | Mapping):
        return True
    return isinstance(cell, str) and separator is not None and separator in cell
