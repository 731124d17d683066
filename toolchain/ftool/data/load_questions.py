"""Questions about contexts from their settings: read, checked and split, each context on one side."""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Sequence

from ftool.data.columns import find_column
from ftool.data.examples import Examples, checked_texts, is_missing
from ftool.data.overlaps import shared_texts
from ftool.data.questions import Question, QuestionData, QuestionSplit
from ftool.data.rows.answer_cells import BadAnswerError, read_answers
from ftool.data.rows.answer_places import PlaceReport, place_answers
from ftool.data.sources.find import find_tables, only_table, read_data
from ftool.data.splitting import cut_missing_splits, cut_off, same_text
from ftool.data.table import Cell, Table
from ftool.data.types import DataError
from ftool.recipe.data_settings import DataSettings

_log = logging.getLogger(__name__)

QUESTION_COLUMNS = ("question", "questions", "query")
CONTEXT_COLUMNS = ("context", "contexts", "passage", "paragraph", "document", "article", "text")
ANSWER_COLUMNS = ("answers", "answer", "answer_text", "answer_texts")
START_COLUMNS = ("answer_start", "answer_starts", "start", "starts")
_ID_COLUMNS = ("id", "qid", "question_id")
_ARTICLE_COLUMNS = ("title", "article_title", "article")

_MANY_ARTICLES = 20  # from so many on whole articles are cut off; fewer would make a validation of one or two


def load_question_data(settings: DataSettings) -> QuestionData:
    """The data that `settings` describes, for question-answering.

    A validation or test split that the data lacks is cut off its training rows, all questions of one context, or of
    one article where there are many, on one side. Answers whose offsets are wrong are repaired or dropped, and counted.
    Raises DataError naming the file, row or column for what can't be used.
    """
    warnings: list[str] = []
    tables = find_tables(settings)
    splits = {name: _split(table, settings, warnings) for name, table in tables.items()}
    warnings += shared_texts({name: _by_context(split) for name, split in splits.items()})
    notes = [
        _columns_note(tables["train"], settings),
        *cut_missing_splits(splits, settings, _cut, "each context on one side"),
    ]
    for note in notes:
        _log.info("%s", note)
    for warning in warnings:
        _log.warning("%s", warning)
    train = splits["train"]
    return QuestionData(
        train=train,
        validation=splits["validation"],
        test=splits["test"],
        unanswerable=any(not example.answers for example in train.examples),
        sha256=question_fingerprint(train.examples),
        notes=tuple(notes),
        warnings=tuple(warnings),
    )


def load_question_split(settings: DataSettings, split: str = "test") -> QuestionSplit:
    """The questions of `split`, or of the only split there is: for a model that is trained already.

    Raises DataError as `load_question_data` does.
    """
    warnings: list[str] = []
    loaded = _split(only_table(read_data(settings), split, settings.path), settings, warnings)
    for warning in warnings:
        _log.warning("%s", warning)
    return loaded


def question_fingerprint(examples: Sequence[Question]) -> str:
    """The sha256, in hexadecimal, of each question's text, context, answers and starts, as lines of JSON."""
    digest = hashlib.sha256()
    for one in examples:
        values = [one.question, one.context, list(one.answers), list(one.starts)]
        digest.update(json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
    return digest.hexdigest()


def _split(table: Table, settings: DataSettings, warnings: list[str]) -> QuestionSplit:
    if not table.rows:
        raise DataError(f"{table.source}: holds no questions")
    report = PlaceReport()
    rows = [row.number for row in table.rows]
    questions, contexts = (
        checked_texts(table.source, rows, _cells(table, column), what)
        for column, what in zip(_text_columns(table, settings), ("question", "context"), strict=True)
    )
    answers = _cells(table, find_column(table, settings.answers, ANSWER_COLUMNS, "answers", "data.answers"))
    starts = _optional_cells(table, START_COLUMNS, settings.answer_start)
    ids, articles = _optional_cells(table, _ID_COLUMNS), _optional_cells(table, _ARTICLE_COLUMNS)
    examples, kept = [], []
    for position, row in enumerate(rows):
        try:
            given = read_answers(answers[position], starts[position])
        except BadAnswerError as error:
            raise DataError(f"{table.source}: row {row} {error}; correct or remove it") from error
        placed = place_answers(given, contexts[position], f"row {row}", report)
        if placed is None:
            continue
        kept.append(position)
        examples.append(
            Question(
                questions[position],
                contexts[position],
                answers=tuple(text for text, _ in placed),
                starts=tuple(start for _, start in placed),
                id=str(row) if is_missing(ids[position]) else str(ids[position]),
                article=None if is_missing(articles[position]) else str(articles[position]),
                row=row,
            )
        )
    warnings += [*report.warnings(table.source), *_repeated_ids(table.source, ids)]
    if not examples:
        raise DataError(f"{table.source}: no question is left whose answer stands in its context")
    return QuestionSplit(examples, table.source, table.take(kept))


def _repeated_ids(source: str, ids: Sequence[Cell]) -> list[str]:
    """A line where ids stand at several questions, or none."""
    counts = Counter(str(cell) for cell in ids if not is_missing(cell))
    repeated = [name for name, count in counts.items() if count > 1]
    if not repeated:
        return []
    ids_are = "id stands" if len(repeated) == 1 else "ids stand"
    return [
        f"{source}: {len(repeated)} {ids_are} at several questions (first: {repeated[0][:60]!r}); make them differ"
    ]


def _cut(train: QuestionSplit, fraction: float, seed: int, name: str) -> tuple[QuestionSplit, QuestionSplit]:
    """`train` without a share of about `fraction`, and that share."""
    positions = list(range(len(train)))
    grouped = Examples(train.source, _groups(train.examples), [()] * len(train), positions)
    kept, cut = (train.take(part.rows) for part in cut_off(grouped, fraction, seed, name))
    return kept, cut


def _groups(examples: Sequence[Question]) -> list[str]:
    """For every question what must stay together: its article where there are many, else its context.

    A context that stands in two articles counts for the first.
    """
    if len({example.article for example in examples} - {None}) < _MANY_ARTICLES:
        return [example.context for example in examples]
    groups: dict[str, str] = {}
    return [
        groups.setdefault(same_text(example.context), example.article or example.context)
        for example in examples
    ]


def _by_context(split: QuestionSplit) -> Examples:
    contexts = [example.context for example in split.examples]
    return Examples(split.source, contexts, [()] * len(split), [example.row for example in split.examples])


def _text_columns(table: Table, settings: DataSettings) -> tuple[int, int]:
    return (
        find_column(table, settings.question, QUESTION_COLUMNS, "questions", "data.question"),
        find_column(table, settings.context, CONTEXT_COLUMNS, "contexts", "data.context"),
    )


def _columns_note(table: Table, settings: DataSettings) -> str:
    question, context = (table.columns[column] for column in _text_columns(table, settings))
    return f"{table.source}: questions from the column {question!r}, contexts from {context!r}"


def _cells(table: Table, column: int) -> list[Cell]:
    return [row.cells[column] for row in table.rows]


def _optional_cells(table: Table, usual: tuple[str, ...], name: str | None = None) -> list[Cell]:
    """The cells of a column that may be missing, unless it is named; Nones where it is."""
    lowered = [column.lower() for column in table.columns]
    found = next((lowered.index(one) for one in usual if one in lowered), None)
    if name is not None:
        found = find_column(table, name, (), "starts of the answers", "data.answer_start")
    return [None] * len(table.rows) if found is None else _cells(table, found)
