"""Exports of annotation tools are read as their users meant them: Prodigy, Label Studio, doccano, spaCy."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.files import write_jsonl

from ftool.data.dataset import Dataset
from ftool.data.load import load_dataset
from ftool.data.rows.labels import LabelReader
from ftool.data.rows.tags import TagReader
from ftool.errors import DataError
from ftool.recipe.data_settings import DataSettings

TEXT = "Ann Lee saw Rome"
TAGS = ("B-per", "I-per", "O", "B-loc")
RANGES = ((0, 7, "per"), (12, 16, "loc"))


def load(path: Path, reader: type[Any] = TagReader, **settings: Any) -> Dataset[Any]:
    """Data of one file, which is its own validation and test."""
    given = DataSettings(path=str(path), validation=str(path), test=str(path), **settings)
    return load_dataset(reader, given)


def prodigy_tokens() -> list[dict[str, Any]]:
    tokens, end = [], -1
    for number, word in enumerate(TEXT.split()):
        start, end = end + 1, end + 1 + len(word)
        tokens.append({"text": word, "start": start, "end": end, "id": number, "ws": True})
    return tokens


def spans(**extra: Any) -> list[dict[str, Any]]:
    return [{"start": start, "end": end, "label": kind, **extra} for start, end, kind in RANGES]


def studio_spans() -> list[dict[str, Any]]:
    return [
        {"start": start, "end": end, "text": TEXT[start:end], "labels": [kind]} for start, end, kind in RANGES
    ]


def studio_task(*values: dict[str, Any], **annotation: Any) -> dict[str, Any]:
    result = [{"id": "x", "from_name": "label", "to_name": "text", "value": value} for value in values]
    return {
        "id": 1,
        "data": {"text": TEXT},
        "annotations": [{"result": result, **annotation}],
        "predictions": [],
    }


PRODIGY = {"text": TEXT, "tokens": prodigy_tokens(), "spans": spans(token_start=0, token_end=1)}
ENTITIES: dict[str, list[Any]] = {
    "prodigy.jsonl": [{**PRODIGY, "_input_hash": 1, "_task_hash": 2, "answer": "accept"}],
    "prodigy_without_answer.jsonl": [PRODIGY],
    "prodigy_tokens_as_texts.jsonl": [{"text": TEXT, "tokens": TEXT.split(), "spans": spans()}],
    "label_studio_min.json": [
        {"id": 1, "text": TEXT, "label": studio_spans(), "annotator": 1, "lead_time": 2.5}
    ],
    "label_studio.json": [studio_task(*studio_spans())],
    "doccano.jsonl": [{"id": 1, "text": TEXT, "label": [list(one) for one in RANGES], "Comments": []}],
    "doccano_entities.jsonl": [
        {
            "id": 1,
            "text": TEXT,
            "entities": [
                {"id": 5, "start_offset": start, "end_offset": end, "label": kind}
                for start, end, kind in RANGES
            ],
            "relations": [],
        }
    ],
    "spacy.json": [[TEXT, {"entities": [list(one) for one in RANGES]}]],
    "text_and_tags.jsonl": [{"text": TEXT, "ner_tags": list(TAGS)}],
    "text_and_tags_as_text.jsonl": [{"sentence": TEXT, "tags": " ".join(TAGS)}],
}


@pytest.mark.parametrize("name", ENTITIES)
def test_entities_are_read_from_the_exports_of_annotation_tools(tmp_path: Path, name: str) -> None:
    if name.endswith(".json"):
        (tmp_path / name).write_text(json.dumps(ENTITIES[name]), encoding="utf-8")
    else:
        write_jsonl(tmp_path / name, ENTITIES[name])
    data = load(tmp_path / name)
    assert [(one.text, one.tags) for one in data.train.examples] == [(TEXT, TAGS)]
    assert not any("left out" in warning for warning in data.warnings)


def test_a_span_that_is_listed_twice_is_read_once_and_counted(tmp_path: Path) -> None:
    row = {"text": TEXT, "entities": [*spans(), spans()[0]]}
    data = load(write_jsonl(tmp_path / "data.jsonl", [row]))
    assert data.train.examples[0].tags == TAGS
    told = "1 entities are listed twice and were read once (first: row 1, 'Ann Lee' (per, 0 to 7))"
    assert f"{tmp_path / 'data.jsonl'}: {told}" in data.warnings


def test_a_span_with_two_kinds_is_refused(tmp_path: Path) -> None:
    row = {"text": TEXT, "entities": [*spans(), {**spans()[0], "label": "org"}]}
    with pytest.raises(
        DataError, match=r"row 1 has entities that overlap, 'Ann Lee' \(org.* and 'Ann Lee' \(per"
    ):
        load(write_jsonl(tmp_path / "data.jsonl", [row]))


def test_examples_that_prodigy_users_did_not_accept_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [
        {**PRODIGY, "answer": "accept"},
        {**PRODIGY, "text": "Ann Lee was here", "answer": "reject"},
        {"text": "nothing", "tokens": [], "answer": "accept"},
        {**PRODIGY, "answer": "ignore"},
    ]
    data = load(write_jsonl(tmp_path / "data.jsonl", rows))
    assert [one.text for one in data.train.examples] == [TEXT, "nothing"]
    told = "rows 2 and 4 whose answer in Prodigy is not 'accept'; left out"
    assert f"{tmp_path / 'data.jsonl'}: {told}" in data.warnings


def test_tasks_of_label_studio_without_an_annotation_are_left_out_and_counted(tmp_path: Path) -> None:
    cancelled = studio_task(was_cancelled=True)
    twice = studio_task(*studio_spans())
    twice["annotations"].append({"result": []})
    tasks = [studio_task(*studio_spans()), cancelled, {**cancelled, "annotations": []}, twice, studio_task()]
    (tmp_path / "data.json").write_text(json.dumps(tasks), encoding="utf-8")
    data = load(tmp_path / "data.json")
    assert [one.tags for one in data.train.examples] == [TAGS, TAGS, ("O",) * 4]
    told = "\n".join(data.warnings)
    assert "rows 2 and 3 without an annotation in Label Studio; left out" in told
    assert "row 4 with several annotations in Label Studio; the first was read" in told


def test_rows_of_label_studio_without_a_mark_have_no_entities(tmp_path: Path) -> None:
    rows = [{"text": TEXT, "label": studio_spans(), "lead_time": 2.5}, {"text": "nothing", "lead_time": 1.5}]
    (tmp_path / "data.json").write_text(json.dumps(rows), encoding="utf-8")
    assert [one.tags for one in load(tmp_path / "data.json").train.examples] == [TAGS, ("O",)]


def numbered(**row: Any) -> list[dict[str, Any]]:
    return [{name: cell(n) if callable(cell) else cell for name, cell in row.items()} for n in range(4)]


def mood(n: int) -> str:
    return ["glad", "sad"][n % 2]


def text(n: int) -> str:
    return f"text {n}"


LABELS: dict[str, list[Any]] = {
    "prodigy_binary": numbered(text=text, label=mood, answer="accept", _input_hash=5),
    "prodigy_choice": numbered(
        text=text,
        options=[{"id": "glad", "text": "Glad"}, {"id": "sad", "text": "Sad"}],
        accept=lambda n: [mood(n)],
        answer="accept",
    ),
    "label_studio_min": numbered(text=text, id=int, sentiment=mood, annotator=1, lead_time=1.5),
    "label_studio_min_several": numbered(text=text, sentiment=lambda n: {"choices": [mood(n)]}),
    "label_studio": [
        {**studio_task({"choices": [mood(n)]}), "data": {"text": text(n), "url": "x"}} for n in range(4)
    ],
    "nested": [{"id": n, "data": {"text": text(n), "label": mood(n)}} for n in range(4)],
    "doccano": numbered(id=int, text=text, label=lambda n: [mood(n)], Comments=""),
    "spacy_cats": [[text(n), {"cats": {"glad": n % 2 == 0, "sad": float(n % 2)}}] for n in range(4)],
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_are_read_from_the_exports_of_annotation_tools(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps(LABELS[name]), encoding="utf-8")
    data = load(path, LabelReader)
    assert [(one.text, one.labels) for one in data.train.examples] == [
        (text(n), (mood(n),)) for n in range(4)
    ]


def test_an_answer_of_another_kind_is_no_answer_of_prodigy(tmp_path: Path) -> None:
    rows = [{"text": f"may it {n}?", "answer": ["accept", "reject"][n % 2]} for n in range(4)]
    data = load(write_jsonl(tmp_path / "data.jsonl", rows), LabelReader)
    assert data.labels == ("accept", "reject")
