"""Read files in the JSON form of SQuAD (articles, paragraphs, questions) as tables with one row per question."""

from collections.abc import Iterator, Mapping
from typing import Any

from ftool.data.table import Cell, Row, Table
from ftool.errors import DataError

COLUMNS = ("id", "title", "context", "question", "answers")


def is_squad(value: object) -> bool:
    """Whether a parsed JSON value has the form of SQuAD 1.1 or 2.0.

    In this form, `data` is a list of articles, and each article has a list called `paragraphs`.
    """
    articles = value.get("data") if isinstance(value, Mapping) else None
    return (
        isinstance(articles, list)
        and bool(articles)
        and all(_has_list(one, "paragraphs") for one in articles)
    )


def squad_table(source: str, value: Mapping[str, Any]) -> Table:
    """Return a table of the questions in a SQuAD file. The row numbers count the questions from 1.

    A cell of the column "answers" is a list of `{"text", "answer_start"}`, which is empty if `is_impossible` is true.
    `source` names the file in error messages. Raises DataError, which names the place in the file, if a paragraph or
    question can't be read.
    """
    rows = [Row(number, cells) for number, cells in enumerate(_questions(source, value["data"]), start=1)]
    return Table(source, COLUMNS, rows)


def _questions(source: str, articles: list[Any]) -> Iterator[tuple[Cell, ...]]:
    for article_number, article in enumerate(articles):
        for number, paragraph in enumerate(article["paragraphs"]):
            where = f"{source}: data[{article_number}].paragraphs[{number}]"
            if not _has_list(paragraph, "qas") or "context" not in paragraph:
                raise DataError(f"{where} has no context or no list of qas; correct or remove it")
            for place, question in enumerate(paragraph["qas"]):
                if not isinstance(question, Mapping) or "question" not in question:
                    raise DataError(f"{where}.qas[{place}] has no question; correct or remove it")
                answers = [] if question.get("is_impossible") else question.get("answers")
                yield (
                    question.get("id"),
                    article.get("title"),
                    paragraph["context"],
                    question["question"],
                    answers,
                )


def _has_list(value: object, key: str) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get(key), list)
