"""The usual names of columns for every task, and functions that find columns in a table.

A column is found by the name that the user gives, or else by its usual names.
"""

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from ftool.data.table import Cell, Table
from ftool.errors import DataError

_ROWS_ABOVE_HEADER = 20  # rows at the top of a file, at most, that may be a title or a comment
_WORDS_OF_A_NAME = 4
_PUNCTUATION = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Column:
    """A kind of column, such as the column of the labels, and the names by which to find such a column in a table.

    Attributes:
        content: what the cells hold, as a noun for error messages, such as "labels".
        flag: the flag or setting with which a user can name the column; "" if there is none.
        usual: the names that such a column usually has, in lower case; if a table has several, the earliest counts.
    """

    content: str
    flag: str
    usual: tuple[str, ...]
    parts: str = (
        ""  # what several columns hold, named with the flag together; "" if the flag names one column
    )


# Text classification.
TEXT: Final = Column("texts", "--text-column", (
    "text", "full_text", "sentence", "utterance", "content", "tweet", "review", "question", "query", "message",
    "comment", "post", "headline", "title", "description", "document", "body", "input", "comment_text", "review_text",
    "review_body", "tweet_text",
))  # fmt: skip
SECOND_TEXT: Final = Column("second texts", "--pair-column", ())
PAIRS: Final = (  # two texts of one example, the first and the second
    ("text", "text_pair"), ("premise", "hypothesis"), ("sentence1", "sentence2"), ("question1", "question2"),
    ("text1", "text2"), ("text_a", "text_b"), ("sentence_a", "sentence_b"), ("query", "passage"),
    ("query", "document"), ("question", "sentence"), ("question", "passage"),
)  # fmt: skip
LABEL: Final = Column("labels", "--label-column", (
    "label_text", "label_name", "label", "labels", "category", "categories", "intent", "class", "sentiment",
    "emotion", "emotions", "topic", "tag", "tags", "target", "gold", "y", "gold_label",
    "is_duplicate", "stars", "rating",
    "accept",  # the chosen options of Prodigy
    "score", "similarity",  # last: next to a label column they hold something else, such as a confidence
), parts="label or number")  # fmt: skip

# Token classification.
WORDS: Final = Column("words", "--text-column", ("tokens", "words", "token", "word", "form"))
TAGS: Final = Column("tags", "--label-column", (
    "ner_tags", "tags", "ner", "labels", "tag", "label", "bio", "iob",
))  # fmt: skip
SENTENCE: Final = Column("sentence numbers", "", (  # of data with one word in each row
    "sentence", "sentence_id", "sentence_idx", "sentence_index", "sentence_number", "sentence_no", "sent", "sent_id",
    "sent_idx", "sid",
))  # fmt: skip
DOCUMENT: Final = Column("documents", "", (  # in which sentences are numbered from the start again
    "document", "document_id", "doc", "doc_id", "docid", "file", "file_name", "article", "article_id",
))  # fmt: skip
TEXT_OF_WORDS: Final = Column("texts", "", ("text", "sentence"))
TEXT_WITH_ENTITIES: Final = replace(TEXT, content="texts or lists of words")
ENTITIES: Final = Column("entities", "--label-column", (
    "entities", "spans", "labels", "label", "annotations", "ner", "tags",
))  # fmt: skip

# Question answering.
QUESTION: Final = Column("questions", "data.question", ("question", "questions", "query"))
CONTEXT: Final = Column("contexts", "data.context", (
    "context", "contexts", "passage", "paragraph", "document", "article", "text",
))  # fmt: skip
ANSWERS: Final = Column("answers", "data.answers", ("answers", "answer", "answer_text", "answer_texts"))
ANSWER_START: Final = Column(
    "starts of the answers", "", ("answer_start", "answer_starts", "start", "starts")
)
QUESTION_ID: Final = Column("ids", "", ("id", "qid", "question_id"))
ARTICLE: Final = Column("articles", "", ("title", "article_title", "article"))

# Feature extraction.
ANCHOR: Final = Column("anchors (queries)", "--set data.anchor=NAME", (
    "anchor", "query", "question", "sentence1", "sentence_1", "sentence_a", "text1", "text_1", "text_a", "premise",
    "query_text", "source", "title", "question1",
))  # fmt: skip
POSITIVE: Final = Column("positives (passages)", "--set data.positive=NAME", (
    "positive", "pos", "positives", "positive_text", "passage", "answer", "context", "document", "response",
    "sentence2", "sentence_2", "sentence_b", "text2", "text_2", "text_b", "hypothesis", "target", "text", "body",
    "question2",
))  # fmt: skip
NEGATIVE: Final = Column("negatives", "--set data.negative=NAME", (
    "negative", "neg", "negatives", "negative_text", "hard_negative", "hard_negatives",
))  # fmt: skip
SCORE: Final = Column("scores", "--set data.score=NAME", (
    "score", "similarity", "similarity_score", "relatedness_score", "gold_score", "label", "is_duplicate",
))  # fmt: skip

# Summarization and translation.
SOURCE: Final = Column("sources", "--source-column", (
    "source", "src", "source_text", "document", "documents", "article", "dialogue", "dialog", "transcript",
    "text", "input", "content", "body", "written",
))  # fmt: skip
TARGET: Final = Column("targets", "--target-column", (
    "target", "tgt", "target_text", "summary", "summaries", "highlights", "tldr", "abstract", "translation",
    "translations", "reference", "references", "output", "headline", "title",
))  # fmt: skip
TRANSLATIONS: Final = Column(
    "translations", "", ("translation", "translations")
)  # the hub's {"en": …, "zh": …}

# Text generation.
MESSAGES: Final = Column("conversations", "--messages-column", (
    "messages", "conversations", "conversation", "dialog", "dialogue", "turns",
))  # fmt: skip
PROMPT: Final = Column("prompts", "--source-column", (
    "instruction", "prompt", "question", "query", "problem", "input", "source", "src",
))  # fmt: skip
ANSWER: Final = Column("answers", "--target-column", (
    "completion", "continuation", "output", "response", "answer", "answers", "solution", "target", "tgt",
))  # fmt: skip
CONTINUATIONS: Final = ("completion", "continuation")  # columns whose texts continue the prompt directly
PLAIN_TEXT: Final = Column("texts", "--text-column", (
    "text", "content", "document", "article", "body", "story", "code", "sentence",
))  # fmt: skip
INPUT: Final = Column(
    "inputs", "", ("input", "context")
)  # the text that an instruction refers to, as in Alpaca and Dolly
SYSTEM: Final = Column("system prompts", "", ("system", "system_prompt"))


_USUAL: Final = frozenset(
    _PUNCTUATION.sub("", usual)
    for kind in (TEXT, LABEL, WORDS, QUESTION, ANCHOR, SOURCE, TARGET, PROMPT, ANSWER)
    for usual in kind.usual
)


def is_usual(name: str) -> bool:
    """Whether a name is a usual name of a column of texts, labels, sources or answers."""
    return _PUNCTUATION.sub("", name.lower()) in _USUAL


def header_below(rows: Iterable[tuple[int, Sequence[Cell]]]) -> str:
    """Return a remedy, to be added to an error, if one of the first rows looks like the header; else an empty string.

    `rows` are the rows below the one that was taken for the header, each with its number. A header has two or more
    cells, all of them names, and one is usual.
    """
    for number, cells in itertools.islice(rows, _ROWS_ABOVE_HEADER):
        names = [str(cell).strip() for cell in cells if cell is not None and str(cell).strip()]
        short = all(len(name.split()) <= _WORDS_OF_A_NAME for name in names)
        if len(names) > 1 and short and any(map(is_usual, names)):
            listed = ", ".join(map(repr, names[:5]))
            return f"; row {number} ({listed}) looks like the header: remove the rows above it"
    return ""


def find_column(table: Table, column: Column, name: str | None = None) -> str:
    """Return the name of the table's column: `name` if given, else the first of `column.usual` that the table has.

    Usual names are compared without regard to case, spaces and punctuation.

    Raises DataError, which lists the table's columns, if the table lacks the column or has several of the same name.
    """
    if name is not None:
        return named_column(table, name)
    for candidate in column.usual:
        found = _positions(table, candidate)
        if len(found) == 1:
            return table.columns[found[0]]
        if found:
            same = len({table.columns[place] for place in found}) < len(found)
            remedy = "rename all but one" if same else f"rename them, or name one with {column.flag}"
            raise DataError(
                f"{table.source}: has several columns {candidate!r}; the columns are {listed_columns(table)}: {remedy}"
            )
    several = f" (or a column for each {column.parts} with {column.flag} A,B)" if column.parts else ""
    raise DataError(
        f"{table.source}: no column is known to hold the {column.content}; the columns are {listed_columns(table)}: "
        f"name one with {column.flag}{several}, or all with --columns if the file has no header"
        f"{header_below((row.number, row.cells) for row in table.rows)}"
    )


def optional_column(
    table: Table, column: Column, name: str | None = None, taken: Sequence[str] = ()
) -> str | None:
    """Return the name of the table's column as `find_column` does, or None if the table has no such column.

    None is returned only if `name` is None and every column with a usual name is in `taken`. If `column.flag` is "", so
    that a user can't name the column, several columns of the same usual name are not an error.
    """
    found = [position for usual in column.usual for position in _positions(table, usual)[:1]]
    free = [position for position in found if table.columns[position] not in taken]
    if name is None and not free:
        return None
    return find_column(table, column, name) if name is not None or column.flag else table.columns[free[0]]


def _positions(table: Table, usual: str) -> list[int]:
    """Return the positions of the columns with a usual name: those that differ in case only, or else in punctuation."""
    exact, plain = _places(table.columns)
    return list(exact.get(usual, ()) or plain.get(_PUNCTUATION.sub("", usual), ()))


@lru_cache(maxsize=8)
def _places(columns: tuple[str, ...]) -> tuple[Mapping[str, Sequence[int]], Mapping[str, Sequence[int]]]:
    """Return the positions of names in lower case, and of these without punctuation."""
    exact, plain = defaultdict[str, list[int]](list), defaultdict[str, list[int]](list)
    for position, name in enumerate(columns):
        exact[name.lower()].append(position)
        plain[_PUNCTUATION.sub("", name.lower())].append(position)
    return exact, plain


def named_column(table: Table, name: str) -> str:
    """Return the name of the column that is called `name`, or else of the one that differs from `name` in case only.

    Raises DataError, which lists the table's columns, if there is no such column or more than one.
    """
    found = [column for column in table.columns if column == name]
    found = found or [
        column for column in table.columns if column.strip().casefold() == name.strip().casefold()
    ]
    if len(found) == 1:
        return found[0]
    problem = f"has several columns {name!r}" if found else f"has no column {name!r}"
    raise DataError(f"{table.source}: {problem}; the columns are {listed_columns(table)}")


def text_columns(table: Table, name: str | None, pair: str | None) -> tuple[str, str | None]:
    """Return the names of the text column and of the second text column (None if there is no second text).

    `name` and `pair` are the names that the user gave for these columns; None if the user gave no name. If both are
    None, the table is searched for two columns whose names usually form a pair (`PAIRS`). Raises DataError if a column
    that the user named is missing, or if both names are the same.
    """
    if name is None and pair is None:
        for pair_of_names in PAIRS:
            found = [_positions(table, usual) for usual in pair_of_names]
            if all(len(positions) == 1 for positions in found) and found[0] != found[1]:
                return table.columns[found[0][0]], table.columns[found[1][0]]
    if pair is None:
        return find_column(table, TEXT, name), None
    second = find_column(table, SECOND_TEXT, pair)
    usual = [one for one, other in PAIRS if other == pair.lower()]
    first = find_column(table, replace(TEXT, usual=(*usual, *TEXT.usual)), name)
    if first == second:
        raise DataError(f"{table.source}: both texts are the column {first!r}; name another")
    return first, second


def listed_columns(table: Table) -> str:
    """Return the names of the table's first 20 columns as one string for error messages, separated by commas."""
    return ", ".join(repr(column[:40]) for column in table.columns[:20]) or "none"
