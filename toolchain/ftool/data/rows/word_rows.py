"""Join tables with one word in each row, as in Kaggle's entity data, into tables with one sentence in each row."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from ftool.data.cells import is_missing, listed_rows
from ftool.data.columns import DOCUMENT, SENTENCE, optional_column
from ftool.data.rows.tag_schemes import DOCUMENT_MARK, tag_problem
from ftool.data.table import Cell, Row, Table
from ftool.errors import DataError
from ftool_runtime.postprocessing.tag_names import outside


def joined_sentences(table: Table, words: str, tags: str) -> Table:
    """Return a table with one sentence in each row; `table` itself if its rows are not single words.

    A sentence starts where the value in the column of sentence numbers changes, or that in a column of documents; an
    empty cell is in the sentence of the row above. Without such columns, empty lines separate sentences, as in CoNLL.
    Each cell of the result is the list of a column's values in the sentence, and a row's number is that of the first
    word. Rows without a word are left out; a warning counts them, and another the sentence numbers that come back.

    Args:
        table: the table.
        words: the name of the column of words.
        tags: the name of the column of tags.

    Raises DataError if nothing says where sentences end, or if a row has an entity tag but no word.
    """
    number = optional_column(table, SENTENCE, taken=(words, tags))
    if not _has_single_words(table, words, tags, number):
        return table
    document = None
    if number is None:
        starts = _starts_by_line(table, words)
    else:
        document = optional_column(table, DOCUMENT, taken=(words, tags, number))
        starts = sorted(
            {*_starts_by_number(table, number), *(_starts_by_number(table, document) if document else ())}
        )
    if len(table.rows) > 1 and len(starts) == 1 and number is None:
        raise DataError(
            f"{table.source}: has one word in each row of the column {words!r}, and nothing says where a sentence "
            "ends; add a column 'sentence_id', or an empty line after each sentence"
        )
    kept = [name for name in table.columns if name != number]
    sentences, skipped = _sentences(table, starts, words, tags)
    rows = [
        Row(rows[0].number, tuple([row.cells[table.columns.index(name)] for row in rows] for name in kept))
        for rows in sentences
    ]
    warnings = [*table.warnings, *([] if number is None or document else _repeated(table, number, starts))]
    if skipped:
        warnings.append(f"{table.source}: {listed_rows(skipped)} without a word; left out")
    return replace(table, columns=tuple(kept), rows=rows, warnings=tuple(warnings))


def _has_single_words(table: Table, words: str, tags: str, number: str | None) -> bool:
    """Whether each row holds one word with one tag, and not a sentence.

    If no column has sentence numbers, no word may have a space inside.
    """
    cells = list(zip(table.cells(words), table.cells(tags), strict=True))
    if len(cells) < 2 or not all(_is_single_word(word) and _is_single_tag(tag) for word, tag in cells):
        return False
    return number is not None or not any(" " in str(word).strip() for word, _ in cells)


def _is_single_word(cell: Cell) -> bool:
    return cell is None or isinstance(cell, str | int | float)


def _is_single_tag(cell: Cell) -> bool:
    if not isinstance(cell, str):
        return cell is None or isinstance(cell, int | float)
    parts = cell.split()
    are_tags = [part.isdecimal() or tag_problem(part) is None for part in parts]
    return not parts or (are_tags[0] and not (len(parts) > 1 and all(are_tags)))


def _starts_by_number(table: Table, number: str) -> list[int]:
    """Return the positions of the rows where the sentence number changes; an empty cell is no change."""
    starts, current = [0], None
    for position, cell in enumerate(table.cells(number)):
        if not is_missing(cell) and cell != current:
            starts += [position] if position else []
            current = cell
    return starts


def _starts_by_line(table: Table, words: str) -> list[int]:
    """Return the positions of the rows that follow empty lines or a document marker."""
    numbers, cells = table.numbers, table.cells(words)
    return [
        position
        for position, line in enumerate(numbers)
        if not position or line > numbers[position - 1] + 1 or cells[position - 1] == DOCUMENT_MARK
    ]


def _sentences(
    table: Table, starts: Sequence[int], words: str, tags: str
) -> tuple[list[list[Row]], list[int]]:
    """Return the rows of each sentence that has words, and the numbers of the rows without a word."""
    word_of, tag_of = table.columns.index(words), table.columns.index(tags)
    sentences, skipped = [], []
    for first, end in zip(starts, [*starts[1:], len(table.rows)], strict=True):
        sentence = []
        for row in table.rows[first:end]:
            word, tag = row.cells[word_of], row.cells[tag_of]
            if not is_missing(word):
                if word != DOCUMENT_MARK:
                    sentence.append(row)
            elif isinstance(tag, str) and not is_missing(tag) and not outside(tag):
                raise DataError(
                    f"{table.source}: row {row.number} has the tag {tag[:40]!r} but no word; correct or remove it"
                )
            else:
                skipped.append(row.number)
        if sentence:
            sentences.append(sentence)
    return sentences, skipped


def _repeated(table: Table, number: str, starts: Sequence[int]) -> list[str]:
    cells = table.cells(number)
    counts = Counter(str(cells[start]) for start in starts if not is_missing(cells[start]))
    repeated = [value for value, count in counts.items() if count > 1]
    if not repeated:
        return []
    return [
        f"{table.source}: {len(repeated)} of {len(counts)} values of the column {number!r} come back in a later row, "
        f"such as {repeated[0][:40]!r}; each time is read as another sentence; sort the rows if that is wrong"
    ]
