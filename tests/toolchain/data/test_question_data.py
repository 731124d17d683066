"""Questions from SQuAD's JSON and from tables: what is read, repaired, dropped and refused, and how splits are made."""

import csv
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftool.data.dataset import fingerprint
from ftool.data.load import load_dataset, load_split
from ftool.data.rows.answer_offsets import OffsetReport, locate_answers
from ftool.data.rows.questions import Question, QuestionReader
from ftool.data.splits import same_text
from ftool.errors import DataError
from ftool.recipe.data_settings import DataSettings

CONTEXT = "Emoji 😀 stand here. Paris is the capital of France, and Paris is old. Łódź 中文 too."


def squad(path: Path, contexts: dict[str, list[dict[str, Any]]], title: str = "Article") -> str:
    paragraphs = [{"context": context, "qas": qas} for context, qas in contexts.items()]
    path.write_text(json.dumps({"version": "v2.0", "data": [{"title": title, "paragraphs": paragraphs}]}))
    return str(path)


def asked(question: str, *answers: tuple[str, int], **more: Any) -> dict[str, Any]:
    return {
        "id": question,
        "question": question,
        "answers": [{"text": text, "answer_start": start} for text, start in answers],
        **more,
    }


def read(path: str | Path, **settings: Any) -> list[Question]:
    return list(load_split(QuestionReader, DataSettings(path=str(path), **settings)).examples)


def answers_of(path: str | Path, **settings: Any) -> list[list[tuple[str, int]]]:
    return [list(zip(one.answers, one.starts, strict=True)) for one in read(path, **settings)]


FRANCE = CONTEXT.index("France")
RIGHT = ("France", FRANCE)


def test_squad_files_are_read_with_their_ids_and_articles(tmp_path: Path) -> None:
    path = squad(
        tmp_path / "train-v2.0.json",
        {
            CONTEXT: [
                asked("Of what?", RIGHT, RIGHT, is_impossible=False),
                asked("Who?", RIGHT, is_impossible=True, plausible_answers=[]),
                asked("Version 1.1?", RIGHT),
            ]
        },
    )
    examples = read(path)
    assert [one.answers for one in examples] == [("France", "France"), (), ("France",)]
    assert examples[0] == Question(
        "Of what?", CONTEXT, ("France", "France"), (FRANCE, FRANCE), id="Of what?", article="Article", row=1
    )
    assert [one.row for one in examples] == [1, 2, 3]


@pytest.mark.parametrize(
    "cells",
    [
        {"answers": {"text": ["France"], "answer_start": [FRANCE]}},
        {"answers": [{"text": "France", "answer_start": FRANCE}]},
        {"answers": ["France"], "answer_start": [FRANCE]},
        {"answer": "France", "answer_start": FRANCE},
        {"answer_text": "France", "start": float(FRANCE)},
        {"answers": "France"},  # without an offset, and in one place
        {"Answers": json.dumps({"text": ["France"], "answer_start": [FRANCE]})},
        {"answers": str({"text": ["France"], "answer_start": [FRANCE]})},
        {"answers": str([{"text": "France", "answer_start": FRANCE}])},
        {
            "answers": f"{{'text': array(['France'], dtype=object), 'answer_start': array([{FRANCE}], dtype=int32)}}"
        },
        {"answers": "['France']", "answer_start": f"[{FRANCE}]"},
        {"answers": "['France']", "answer_start": f"[{FRANCE}.]"},
        {"answers": "array(['France'], dtype=object)"},
    ],
)
def test_flat_rows_hold_answers_in_any_usual_form(tmp_path: Path, cells: dict[str, Any]) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text(json.dumps({"Question": "Of what?", "Context": CONTEXT, **cells}) + "\n")
    assert answers_of(path) == [[RIGHT]]


@pytest.mark.parametrize("empty", [None, "", " ", [], {"text": [], "answer_start": []}, "[]"])
def test_a_row_without_an_answer_is_a_question_without_one(tmp_path: Path, empty: Any) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text(json.dumps({"question": "Q?", "context": CONTEXT, "answers": empty}) + "\n")
    assert answers_of(path) == [[]]


def test_csv_and_parquet_are_read_alike(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    with (tmp_path / "d.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [
                ["id", "q", "c", "a", "s"],
                ["x", "Of what?", CONTEXT, "France", FRANCE],
                ["y", "Who?", CONTEXT, "", ""],
            ]
        )
    named = {"question": "q", "context": "c", "answers": "a", "answer_start": "s"}
    assert answers_of(tmp_path / "d.csv", **named) == [[RIGHT], []]
    rows = {
        "question": ["Of what?", "Who?"],
        "context": [CONTEXT, CONTEXT],
        "answers": [{"text": ["France"], "answer_start": [FRANCE]}, {"text": [], "answer_start": []}],
    }
    pyarrow.parquet.write_table(pyarrow.table(rows), tmp_path / "d.parquet")
    assert answers_of(tmp_path / "d.parquet") == [[RIGHT], []]
    assert [one.id for one in read(tmp_path / "d.parquet")] == ["1", "2"]


def test_wrong_offsets_are_counted_repaired_where_there_is_one_place_and_else_dropped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As byte offsets give them: the emoji takes 4 bytes and one character."""
    path = squad(
        tmp_path / "train.json",
        {
            CONTEXT: [
                asked("Of what?", ("France", FRANCE + 3)),  # in one place: repaired
                asked("Where?", ("Paris", 3), RIGHT),  # in two places: dropped, and another is left
                asked("What?", ("Paris", 3)),  # dropped, and the question with it: it is not unanswerable
                asked("Which?", ("Rome", 0)),  # in no place
                asked("Good?", RIGHT),
            ]
        },
    )
    with caplog.at_level(logging.WARNING):
        assert answers_of(path) == [[RIGHT], [RIGHT], [RIGHT]]
    assert [one.question for one in read(path)] == ["Of what?", "Where?", "Good?"]
    wrong, dropped = (record.getMessage() for record in caplog.records[:2])
    assert wrong == (
        f"{path}: 4 answers with a wrong offset (first: row 1: 'France' at {FRANCE + 3}, where the context has "
        "'nce, a'); 1 corrected, as the answer occurs once in the context"
    )
    assert dropped == (
        f"{path}: 3 answers dropped (not in the context, or several times), and 2 questions left without an answer; "
        "correct the offsets to keep them"
    )


@given(
    text=st.text("ab ", min_size=1, max_size=8),
    context=st.text("ab ", max_size=30),
    start=st.integers(-5, 40),
)
def test_answers_that_are_kept_stand_where_their_offsets_say(text: str, context: str, start: int) -> None:
    report = OffsetReport()
    placed = locate_answers([(text, start)], context, "row 1", report)
    for found, where in placed or ():
        assert context[where : where + len(found)] == found == text
    assert (placed is None) == (report.dropped == 1 == report.questions)
    assert report.wrong == report.repaired + report.dropped


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"question": "", "context": "c", "answers": "c"}, "row 1 without a question; correct or remove it"),
        ({"question": "q", "context": " ", "answers": "c"}, "row 1 without a context; correct or remove it"),
        ({"question": "q", "context": 5, "answers": "c"}, "row 1 with a context that is not a string"),
        ({"question": "q", "context": "c", "answers": 5}, "row 1 with an answer that is not a text, or empty: '5'"),
        ({"question": "q", "context": "c", "answers": ["c", ""]}, "row 1 with an answer that is not a text"),
        ({"question": "q", "context": "c", "answers": ["c"], "start": [0, 1]}, "row 1 with 1 answers and 2 starts"),
        ({"question": "q", "context": "c", "answers": "c", "start": "x"}, "row 1 with a start that is not a whole"),
        ({"question": "q", "context": "c", "answers": '["c"'}, "row 1 with an answer that looks like a list or dict"),
        ({"question": "q", "context": "c", "answers": {"texts": []}}, "row 1 with answers without a text"),
        ({"question": "q", "context": "c"}, "no column is known to hold the answers"),
        ({"question": "q", "context": "c", "answers": "x"}, "no question is left, as no answer occurs in its context"),
    ],
)  # fmt: skip
def test_what_is_no_question_is_refused_with_its_row(
    tmp_path: Path, row: dict[str, Any], problem: str
) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError) as refused:
        read(path)
    assert problem in str(refused.value)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize(
    ("paragraph", "problem"),
    [
        ({"context": "c"}, r"data\[0\].paragraphs\[0\] has no context or no list of qas"),
        ({"qas": []}, r"data\[0\].paragraphs\[0\] has no context or no list of qas"),
        ({"context": "c", "qas": [{"id": "1"}]}, r"data\[0\].paragraphs\[0\].qas\[0\] has no question"),
        ({"context": "c", "qas": []}, "holds no examples"),
    ],
)
def test_a_damaged_squad_file_is_refused_with_the_place(tmp_path: Path, paragraph: Any, problem: str) -> None:
    path = tmp_path / "train.json"
    path.write_text(json.dumps({"data": [{"paragraphs": [paragraph]}]}))
    with pytest.raises(DataError, match=problem):
        read(path)


@pytest.mark.parametrize("articles", [1, 40])
def test_no_context_and_no_article_where_there_are_many_stands_in_two_cut_splits(
    tmp_path: Path, articles: int
) -> None:
    lines = []
    for number in range(120):
        context = f"Text {number} holds word{number}."
        row = {"context": context, "answers": f"word{number}", "title": f"Title {number % articles}"}
        lines += [json.dumps({"question": f"{which} {number}?", **row}) for which in ("What", "Where", "Who")]
        if articles > 1 and number == 0:  # a context that two articles hold
            lines.append(json.dumps({"question": "Again?", **row, "title": "Title 1"}))
    path = tmp_path / "d.jsonl"
    path.write_text("\n".join(lines) + "\n")
    data = load_dataset(QuestionReader, DataSettings(path=str(path)))
    splits = [data.train, data.validation, data.test]
    contexts = [{same_text(one.context) for one in split.examples} for split in splits]
    assert sum(map(len, contexts)) == len(set.union(*contexts)) == 120
    assert all(0.05 < len(split) / len(lines) < 0.15 for split in splits[1:])
    if articles > 1:
        titles = [{one.article for one in split.examples} for split in splits]
        assert len(titles[1] & titles[2]) == 0
        assert (
            len(titles[0] & titles[1]) + len(titles[0] & titles[2]) <= 1
        )  # the article of the doubled context
    assert len(data.train.table.rows) == len(data.train)


def test_rows_for_slices_are_those_of_the_questions_that_are_left_also_in_shards(tmp_path: Path) -> None:
    for shard in range(2):  # whose rows have the same numbers
        rows = [
            {
                "question": f"Q{shard}{n}?",
                "context": f"c{shard}{n} x",
                "answers": f"c{shard}{n}" if n else "gone",
            }
            for n in range(3)
        ]
        path = tmp_path / f"test-0000{shard}-of-00002.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    split = load_split(QuestionReader, DataSettings(path=str(tmp_path)))
    assert [one.question for one in split.examples] == ["Q01?", "Q02?", "Q11?", "Q12?"]
    assert split.table.cells("question") == [one.question for one in split.examples]


def test_contexts_that_stand_in_training_too_are_warned_of(tmp_path: Path) -> None:
    for name in ("train", "test"):
        squad(
            tmp_path / f"{name}.json",
            {CONTEXT: [asked(f"{name}?", RIGHT), asked("None?")], f"{name} one": []},
        )
    squad(tmp_path / "validation.json", {"Only here.": [asked("Where?", ("here", 5))]})
    data = load_dataset(QuestionReader, DataSettings(path=str(tmp_path)))
    assert len(data.warnings) == 1
    assert "2 of 2 texts are also in the training data" in data.warnings[0]
    assert data.facts["unanswerable"]


def test_the_fingerprint_is_of_what_is_trained_on_alone(tmp_path: Path) -> None:
    one = Question("Q?", "a b", ("b",), (2,), id="x", article="A", row=3)
    other = Question("Q?", "a b", ("b",), (2,), id="y", row=9)
    assert fingerprint([one]) == fingerprint([other])
    assert fingerprint([one]) != fingerprint([Question("Q?", "a b", (), (), id="x")])


def test_the_real_squad_file_is_read_whole(shared_data: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        train = read(shared_data / "squad2_dev" / "train.json")
    assert (len(train), sum(not one.answers for one in train)) == (4715, 2523)
    assert not caplog.records
    for one in train:
        for text, start in zip(one.answers, one.starts, strict=True):
            assert one.context.startswith(text, start)


@pytest.mark.parametrize(("start", "wrong"), [(-1, 0), (-2, 1), (-40, 1)])
def test_a_start_below_zero_is_a_wrong_one_but_minus_one_says_that_it_is_not_known(
    start: int, wrong: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = squad(tmp_path / "shop.json", {CONTEXT: [asked("Of what?", ("France", start))]})
    with caplog.at_level(logging.WARNING):
        assert answers_of(path) == [[RIGHT]]
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == wrong
    if told:
        assert f"1 answer with a wrong offset (first: row 1: 'France' at {start}" in told[0]


def test_ids_that_stand_at_several_questions_are_counted_and_the_first_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    qas = [asked(name, RIGHT) for name in ("once", "twice", "thrice", "twice", "thrice", "thrice")]
    path = squad(tmp_path / "shop.json", {CONTEXT: qas})
    with caplog.at_level(logging.WARNING):
        assert len(read(path)) == 6
    (told,) = (record.getMessage() for record in caplog.records)
    assert "shop.json: 2 ids are shared by several questions (first: 'twice')" in told
