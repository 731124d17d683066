"""Formats in which data sets are published: fastText, CoNLL-U, and tables with habits of their own."""

from pathlib import Path
from typing import Any

import pytest

from ftool.data.dataset import Dataset
from ftool.data.load import load_dataset
from ftool.data.rows.labels import LabelReader
from ftool.data.rows.tags import TagReader
from ftool.errors import DataError
from ftool.recipe.data_settings import DataSettings


def load(path: Path, reader: type[Any] = LabelReader, **settings: Any) -> Dataset[Any]:
    """Data of one file, which is its own validation and test."""
    return load_dataset(
        reader, DataSettings(path=str(path), validation=str(path), test=str(path), **settings)
    )


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("d.txt", "__label__glad nine  lives\n__label__sad so, what\n"),
        ("cooking.train", "__label__glad nine  lives\n\n__label__sad so, what\n"),
        ("d.ft.txt", "nine  lives\t__label__glad\r\nso, what\t__label__sad\r\n"),
        ("d.txt", "__label__glad , nine  lives\n__label__sad , so, what\n"),
    ],
)
def test_fasttext_is_read(tmp_path: Path, name: str, content: str) -> None:
    data = load(write(tmp_path / name, content))
    assert [(one.text, one.labels) for one in data.train.examples] == [
        ("nine  lives", ("glad",)),
        ("so, what", ("sad",)),
    ]


def test_fasttext_may_have_several_labels(tmp_path: Path) -> None:
    data = load(write(tmp_path / "d.txt", "__label__a __label__b both\n__label__b one\n"))
    assert [(one.text, one.labels) for one in data.train.examples] == [("both", ("a", "b")), ("one", ("b",))]


CONLLU = """# sent_id = 1
# text = Ann saw Rome.
1\tAnn\tAnn\tPROPN\tNNP\t_\t2\tnsubj\t_\tNER=B-PER
2\tsaw\tsee\tVERB\tVBD\t_\t0\troot\t_\tNER=O
3\tRome\tRome\tPROPN\tNNP\t_\t2\tobj\t_\tSpaceAfter=No|NER=B-LOC
4\t.\t.\tPUNCT\t.\t_\t2\tpunct\t_\tNER=O

# text = Zum Haus
1-2\tZum\t_\t_\t_\t_\t_\t_\t_\t_
1\tZu\tzu\tADP\t_\t_\t3\tcase\t_\tNER=O
2\tdem\tder\tDET\t_\t_\t3\tdet\t_\tNER=O
2.1\tleer\tleer\tADJ\t_\t_\t_\t_\t_\t_
3\tHaus\tHaus\tNOUN\t_\t_\t0\troot\t_\tNER=O
"""


def test_entities_of_conllu_are_read_with_the_text(tmp_path: Path) -> None:
    data = load(write(tmp_path / "d.conllu", CONLLU), TagReader)
    assert [(one.text, one.tokens, one.tags) for one in data.train.examples] == [
        ("Ann saw Rome.", ["Ann", "saw", "Rome", "."], ("B-PER", "O", "B-LOC", "O")),
        ("Zu dem Haus", ["Zu", "dem", "Haus"], ("O", "O", "O")),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (CONLLU.replace("NER=", "Gloss="), None),
        (
            CONLLU.replace("NER=", "Is"),
            "no column is known to hold the tags; the columns are 'tokens', 'lemma', 'upos'",
        ),
        (CONLLU.replace("\tnsubj\t_", "\tnsubj"), r"row 3 has 9 cells instead of CoNLL-U's 10"),
    ],
)
def test_conllu_without_entities_is_refused(tmp_path: Path, content: str, message: str | None) -> None:
    path = write(tmp_path / "d.conllu", content)
    if message is None:
        assert load(path, TagReader).labels == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
        return
    with pytest.raises(DataError, match=message):
        load(path, TagReader)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("excel.csv", "sep=;\r\ntext;label\r\nnine;a\r\nten;b\r\n"),
        ("unicode_text.txt", "text\tlabel\r\nnine\ta\r\nten\tb\r\n".encode("utf-16")),
        ("empty_columns.csv", "v1,v2,,,\n" + "a,nine,,,\nb,ten,,,\n" * 3),
        ("pandas.csv", ",text,label\n0,nine,a\n1,ten,b\n"),
        (
            "rasa.json",
            '{"rasa_nlu_data": {"regex_features": [], "common_examples": [{"text": "nine", "intent": "a"}, '
            '{"text": "ten", "intent": "b"}]}}',
        ),
    ],
)
def test_tables_with_habits_of_their_own_are_read(tmp_path: Path, name: str, content: str | bytes) -> None:
    data = load(write(tmp_path / name, content))
    assert {(one.text, *one.labels) for one in data.train.examples} == {("nine", "a"), ("ten", "b")}
