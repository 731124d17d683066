"""Read CoNLL-U files, such as treebanks, as tables. Each line has ten cells for a word, in an order that is fixed."""

from collections.abc import Mapping, Sequence

from ftool.data.cells import BadRows
from ftool.data.rows.tag_schemes import tag_problem
from ftool.data.sources.files import DataFile
from ftool.data.table import Cell, Row, Table
from ftool.errors import DataError

CONLLU_SUFFIXES = (".conllu", ".conllup")
_COLUMNS = ("form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
_TEXT = "# text = "


def read_conllu(file: DataFile) -> Table:
    """Return a table with one row for each sentence; each cell holds the list of a column's values in the sentence.

    The columns are `tokens` (the words), those of CoNLL-U by their own names, `text`, and one for each key of the last
    column, such as `NER`; a key whose values are entity tags is called `ner_tags`. Ranges of words (3-4) and empty
    words (8.1) are left out. The row number is the line of the first word. Raises DataError, which names the lines, if
    a line does not have ten cells.
    """
    rows: list[tuple[int, list[list[str]], str | None]] = []
    words: list[list[str]] = []
    first, text, bad = 0, None, BadRows()
    for number, line in enumerate([*file.text.split("\n"), ""], start=1):
        line = line.rstrip("\r")
        if line.startswith("#"):
            text = line.removeprefix(_TEXT) if line.startswith(_TEXT) else text
        elif line.strip():
            cells = line.split("\t")
            if len(cells) != len(_COLUMNS) + 1:
                bad.add(
                    number,
                    DataError(f"{file.source}: row {number} has {len(cells)} cells instead of CoNLL-U's 10"),
                )
            elif "-" in cells[0]:
                text = None  # the words of the sentence are not those of the text
            elif cells[0].isdecimal():
                first = first or number
                words.append(cells[1:])
        else:
            if words:
                rows.append((first, words, text))
            words, first, text = [], 0, None
    bad.refuse()
    if not rows:
        raise DataError(f"{file.source}: holds no sentence of CoNLL-U")
    return _table(file.source, rows)


def _table(source: str, rows: Sequence[tuple[int, list[list[str]], str | None]]) -> Table:
    keys = dict.fromkeys(key for _, words, _ in rows for word in words for key in _misc(word[-1]))
    named = {key: [[_misc(word[-1]).get(key, "_") for word in words] for _, words, _ in rows] for key in keys}
    tags = next((key for key, cells in named.items() if _are_tags(cells)), None)
    columns = ("tokens", *_COLUMNS[1:-1], "text", *("ner_tags" if key == tags else key for key in keys))
    table_rows = []
    for place, (number, words, text) in enumerate(rows):
        cells: list[Cell] = [[word[column] for word in words] for column in range(len(_COLUMNS) - 1)]
        table_rows.append(Row(number, (*cells, text, *(named[key][place] for key in keys))))
    return Table(source, columns, table_rows)


def _misc(cell: str) -> Mapping[str, str]:
    """Return the keys and values of the last cell of a line, such as "NER=B-LOC|SpaceAfter=No"."""
    pairs = (part.partition("=") for part in cell.split("|"))
    return {key.strip(): value.strip() for key, mark, value in pairs if mark}


def _are_tags(cells: Sequence[Sequence[str]]) -> bool:
    values = {value for one in cells for value in one}
    return values != {"O"} and all(tag_problem(value) is None for value in values)
