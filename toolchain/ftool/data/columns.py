"""Which columns hold the texts and the labels."""

from ftool.data.table import Cell, Table
from ftool.data.types import DataError

TEXT_COLUMNS = (
    "text", "sentence", "utterance", "content", "tweet", "review", "question", "query", "message", "comment",
    "post", "headline", "title", "description", "document", "body", "input",
)  # fmt: skip
LABEL_COLUMNS = (
    "label_text", "label_name", "label", "labels", "category", "categories", "intent", "class", "sentiment",
    "emotion", "emotions", "topic", "tag", "tags", "target", "gold", "y",
    "score", "similarity",  # last, as beside labels they say something else, such as a certainty
)  # fmt: skip


# The names that two texts of one example go by, first and second.
PAIR_COLUMNS = (
    ("text", "text_pair"), ("premise", "hypothesis"), ("sentence1", "sentence2"), ("question1", "question2"),
    ("text1", "text2"), ("text_a", "text_b"), ("sentence_a", "sentence_b"), ("query", "passage"),
    ("query", "document"), ("question", "sentence"), ("question", "passage"),
)  # fmt: skip


def text_columns(table: Table, name: str | None, pair: str | None) -> tuple[int, int | None]:
    """Where the columns of the texts, and of second texts if there are any, stand. Raises DataError for neither.

    Second texts are those of the column `pair`; or, where neither is named, of two columns that usually go together.
    """
    if name is None and pair is None:
        lowered = [column.lower() for column in table.columns]
        for one, other in PAIR_COLUMNS:
            if lowered.count(one) == lowered.count(other) == 1:
                return lowered.index(one), lowered.index(other)
    if pair is None:
        return text_column(table, name), None
    second = find_column(table, pair, (), "second texts", "--set data.text_pair=NAME")
    if name is None:
        usual = [one for one, other in PAIR_COLUMNS if other == pair.lower()]
        first = find_column(table, None, (*usual, *TEXT_COLUMNS), "texts", "--text-column")
    else:
        first = find_column(table, name, TEXT_COLUMNS, "texts", "--text-column")
    if first == second:
        raise DataError(f"{table.source}: both texts are the column {table.columns[first]!r}; name another")
    return first, second


def text_column(table: Table, name: str | None) -> int:
    """Where the column `name`, or the one that usually holds texts, stands. Raises DataError for neither."""
    return find_column(table, name, TEXT_COLUMNS, "texts", "--text-column")


def label_column(table: Table, name: str | None) -> int:
    """Where the column `name`, or the one that usually holds labels, stands. Raises DataError for neither."""
    return find_column(table, name, LABEL_COLUMNS, "labels", "--label-column")


def column_of(table: Table, name: str) -> list[Cell]:
    """The cells of the column `name`, which is there."""
    position = table.columns.index(name)
    return [row.cells[position] for row in table.rows]


def find_column(table: Table, name: str | None, usual: tuple[str, ...], content: str, flag: str) -> int:
    """Where the column `name`, or the first of the `usual` ones that is there, stands.

    Raises DataError for neither, which calls what is looked for `content` and names `flag`.
    """
    if name is not None:
        if table.columns.count(name) == 1:
            return table.columns.index(name)
        problem = f"has no column {name!r}" if name not in table.columns else f"has several columns {name!r}"
        raise DataError(f"{table.source}: {problem}; the columns are {listed_columns(table)}")
    lowered = [column.lower() for column in table.columns]
    for candidate in usual:
        if lowered.count(candidate) == 1:
            return lowered.index(candidate)
        if candidate in lowered:
            raise DataError(
                f"{table.source}: has several columns {candidate!r}; the columns are {listed_columns(table)}: "
                f"rename them, or name one with {flag}"
            )
    raise DataError(
        f"{table.source}: no column is known to hold the {content}; the columns are {listed_columns(table)}: "
        f"name one with {flag}, or all with --columns where the file has no header"
    )


def listed_columns(table: Table) -> str:
    """The names of the first columns, for errors."""
    return ", ".join(repr(column[:40]) for column in table.columns[:20]) or "none"
