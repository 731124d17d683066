"""Splits made from the data: stratified, the same on every machine, and with equal texts in one split."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ftool.data.dataset import Split
from ftool.data.load import load_dataset, load_rows, load_split
from ftool.data.rows.base import RowReader
from ftool.data.rows.labels import LabelledText, LabelReader
from ftool.data.rows.questions import QuestionReader
from ftool.data.rows.tags import TagReader
from ftool.data.splits import cut_off, same_text
from ftool.errors import DataError
from ftool.recipe.data_settings import DataSettings

Cut = tuple[Split[LabelledText], Split[LabelledText]]


def examples(labels: list[tuple[str, ...]], texts: list[str] | None = None) -> Split[LabelledText]:
    texts = texts or [f"text {row}" for row in range(len(labels))]
    both = zip(texts, labels, strict=True)
    return Split([LabelledText(text, of, row=row) for row, (text, of) in enumerate(both, start=2)], "a file")


def texts_of(split: Split[LabelledText]) -> list[str]:
    return [example.text for example in split.examples]


def rows_of(split: Split[LabelledText]) -> list[int]:
    return [example.row for example in split.examples]


def cut_by_text(whole: Split[LabelledText], fraction: float, seed: int) -> Cut:
    return cut_off(whole, texts_of(whole), fraction, seed, "test")


PINNED = ["text 4", "text 24", "text 25", "text 33", "text 54", "text 55"]
LABELLED = st.lists(
    st.tuples(st.integers(0, 40), st.lists(st.sampled_from("abcd"), max_size=3, unique=True).map(tuple)),
    min_size=1,
    max_size=120,
)


@settings(deadline=None)
@given(rows=LABELLED, fraction=st.floats(0.05, 0.49), seed=st.integers(0, 3))
def test_whatever_the_rows_a_cut_keeps_its_promises(
    rows: list[tuple[int, tuple[str, ...]]], fraction: float, seed: int
) -> None:
    whole = examples([labels for _, labels in rows], [f"text {number}" for number, _ in rows])
    try:
        kept, cut = cut_by_text(whole, fraction, seed)
    except DataError:
        assume(False)
    assert sorted(rows_of(kept) + rows_of(cut)) == rows_of(whole)
    assert rows_of(kept) == sorted(rows_of(kept))
    assert rows_of(cut) == sorted(rows_of(cut))
    assert not {same_text(text) for text in texts_of(kept)} & {same_text(text) for text in texts_of(cut)}
    assert {label for one in cut.examples for label in one.labels} <= {
        label for one in kept.examples for label in one.labels
    }


@settings(deadline=None)
@given(sizes=st.lists(st.integers(1, 60), min_size=2, max_size=6), fraction=st.sampled_from([0.1, 0.2, 0.33]))
def test_each_label_loses_its_share(sizes: list[int], fraction: float) -> None:
    labels = [(str(label),) for label, size in enumerate(sizes) for _ in range(size)]
    assume(fraction * len(labels) >= 1)
    assume(max(sizes) > 1)  # a label keeps its last row
    _, cut = cut_by_text(examples(labels), fraction, 13)
    taken = Counter(one.labels[0] for one in cut.examples)
    for label, size in enumerate(sizes):
        # a label with a single row loses none, and its share is made up for by the next
        assert abs(taken[str(label)] - fraction * size) <= 1 + fraction * sizes.count(1)
    assert abs(len(cut) - fraction * len(labels)) <= 1 + fraction * sizes.count(1)


def test_the_cut_is_the_same_on_every_machine() -> None:
    labels = [("a",), ("b",)] * 30
    _, cut = cut_by_text(examples(labels), 0.1, 13)
    # computed once; another Python, machine or order of rows must give these
    assert texts_of(cut) == PINNED
    turned = examples(labels[::-1], [f"text {row}" for row in range(60)][::-1])
    assert sorted(texts_of(cut_by_text(turned, 0.1, 13)[1])) == sorted(PINNED)


def test_another_seed_cuts_other_rows() -> None:
    labels = [("a",), ("b",)] * 30
    first, other = (cut_by_text(examples(labels), 0.1, seed)[1] for seed in (13, 14))
    assert texts_of(first) != texts_of(other)


def test_texts_that_differ_in_case_spaces_or_form_are_the_same() -> None:
    assert same_text(" Ｃafé  au\tLAIT ") == same_text("cafe\u0301 au lait")


def test_missing_splits_are_cut_off_and_said(tmp_path: Path) -> None:
    rows = "".join(f"text {row},{'ab'[row % 2]}\n" for row in range(200))
    (tmp_path / "d.csv").write_text("text,label\n" + rows, encoding="utf-8")
    data = load_dataset(LabelReader, DataSettings(path=str(tmp_path / "d.csv"), test_fraction=0.2, seed=7))
    assert (len(data.train), len(data.validation), len(data.test)) == (140, 20, 40)
    assert Counter(one.labels for one in data.test.examples) == {("a",): 20, ("b",): 20}
    assert any(
        "test: 40 examples" in note and "20%, stratified by label, seed 7" in note for note in data.notes
    )
    assert data.train.examples[0].row >= 2
    assert [f"text {row - 2}" for row in rows_of(data.test)] == data.test.inputs


def test_splits_that_are_there_are_not_cut(tmp_path: Path) -> None:
    for name in ("train", "dev", "test"):
        (tmp_path / f"{name}.csv").write_text(f"text,label\n{name} 1,a\n{name} 2,b\n", encoding="utf-8")
    data = load_dataset(LabelReader, DataSettings(path=str(tmp_path)))
    assert (len(data.train), len(data.validation), len(data.test)) == (2, 2, 2)
    assert not any("cut off" in note for note in data.notes)


def test_too_few_rows_to_cut_from_are_refused(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("text,label\none,a\ntwo,b\n", encoding="utf-8")
    with pytest.raises(DataError, match="2 rows are too few to cut a test split off"):
        load_dataset(LabelReader, DataSettings(path=str(tmp_path / "d.csv")))


ROWS = [["my card is lost", "card"], ["the rent is due", "rent"]] * 6
PARTS = {"train": ROWS, "val": ROWS[:2], "test": ROWS[2:4], "oos_train": ROWS[:2], "oos_test": ROWS[:4]}
COLUMNS = ("text", "label")


def in_json(folder: Path, parts: Mapping[str, Any]) -> Any:
    (folder / "small.json").write_text(json.dumps(parts))
    return load_dataset(LabelReader, DataSettings(path=str(folder / "small.json"), columns=COLUMNS))


def in_files(folder: Path, parts: Mapping[str, Any]) -> Any:
    for name, rows in parts.items():
        (folder / f"{name}.csv").write_text("\n".join(",".join(row) for row in [COLUMNS, *rows]))
    return load_dataset(LabelReader, DataSettings(path=str(folder)))


def in_sheets(folder: Path, parts: Mapping[str, Any]) -> Any:
    book = openpyxl.Workbook()
    del book["Sheet"]
    for name, rows in parts.items():
        sheet = book.create_sheet(name)
        for row in [COLUMNS, *rows]:
            sheet.append(row)
    book.save(folder / "small.xlsx")
    return load_dataset(LabelReader, DataSettings(path=str(folder / "small.xlsx")))


def in_memory(_: Path, parts: Mapping[str, Any]) -> Any:
    rows = {name: [dict(zip(COLUMNS, row, strict=True)) for row in part] for name, part in parts.items()}
    return load_rows(LabelReader, rows)


@pytest.mark.parametrize("read", [in_json, in_files, in_sheets, in_memory])
def test_parts_that_are_no_splits_are_told_by_name(
    tmp_path: Path, read: Callable[[Path, Mapping[str, Any]], Any]
) -> None:
    data = read(tmp_path, PARTS)
    assert {name: len(split) for name, split in data.splits.items()} == {
        "train": 12,
        "validation": 2,
        "test": 2,
    }
    (told,) = [warning for warning in data.warnings if "left out" in warning]
    assert "oos_train" in told
    assert "oos_test" in told
    assert "called train, validation or test" in told


def test_a_version_beside_splits_is_told_and_the_splits_are_read(tmp_path: Path) -> None:
    data = in_json(tmp_path, {"version": "1.0", **PARTS})
    assert any("left out" in warning and "'version'" in warning for warning in data.warnings)


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("split", ["train", "train", "val", "test"]),
        ("Set", ["TRAIN", "Training", "VALID", "testing"]),
        ("data_split", ["train", "train", "dev", "test"]),
        ("subset", ["train", "train", "validation", "test"]),
    ],
)
def test_a_column_names_the_split_of_each_row(tmp_path: Path, column: str, values: list[str]) -> None:
    rows = [
        {"text": f"{value} {row}", "label": "ab"[row % 2], column: value} for row, value in enumerate(values)
    ]
    path = tmp_path / "d.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for data in (
        load_dataset(LabelReader, DataSettings(path=str(path))),
        load_rows(LabelReader, rows),
    ):
        assert [[one.row for one in split.examples] for split in data.splits.values()] == [[1, 2], [3], [4]]
    with_empty = tmp_path / "d.csv"
    with_empty.write_text(
        f"text,label,{column}\n,,\n"
        + "".join(f"{row['text']},{row['label']},{row[column]}\n" for row in rows),
        encoding="utf-8",
    )
    data = load_dataset(LabelReader, DataSettings(path=str(with_empty)))
    assert [len(split) for split in data.splits.values()] == [2, 1, 1]


def test_a_column_of_truth_values_names_the_validation_rows(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    rows = "".join(f"text {row},{'ab'[row % 2]},{row > 9}\n" for row in range(12))
    path.write_text("Ticket text,queue,is_valid\n" + rows, encoding="utf-8")
    data = load_dataset(LabelReader, DataSettings(path=str(path)))
    assert [one.row for one in data.validation.examples] == [12, 13]


def test_the_split_of_a_file_is_evaluated_by_its_column(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("text,label,split\nnine,a,train\nten,b,test\n", encoding="utf-8")
    assert load_split(LabelReader, DataSettings(path=str(path)), "test").inputs == ["ten"]


@pytest.mark.parametrize(
    ("reader", "train", "test"),
    [
        (LabelReader, {"text": "nine", "label": "a"}, {"text": "x"}),
        (LabelReader, {"text": "nine", "label": "a"}, {"text": "x", "label": None}),
        (LabelReader, {"text": "nine", "label": "a"}, {"text": "x", "label": -1}),
        (LabelReader, {"Ticket text": "nine or so", "queue": "a"}, {"Ticket text": "x"}),
        (LabelReader, {"text": "nine", "toxic": 1, "insult": 0}, {"text": "x"}),
        (LabelReader, {"text": "nine", "toxic": 1, "insult": 0}, {"text": "x", "toxic": -1, "insult": -1}),
        (TagReader, {"text": "Ann", "entities": [[0, 3, "per"]]}, {"text": "Ann", "entities": None}),
        (TagReader, {"text": "Ann", "entities": [[0, 3, "per"]]}, {"text": "Ann"}),
        (QuestionReader, {"question": "Who?", "context": "Ann", "answers": ["Ann"]}, {"question": "Who?"}),
    ],
)
def test_a_split_without_answers_is_left_out(
    tmp_path: Path, reader: type[RowReader[Any]], train: dict[str, Any], test: dict[str, Any]
) -> None:
    rows = []
    for number in range(40):
        row = {
            name: f"{cell} {number}" if name in ("text", "context", "Ticket text") else cell
            for name, cell in train.items()
        }
        if number % 2 and "toxic" in row:
            row |= {"toxic": 0, "insult": 1}
        elif number % 2:
            row |= {name: "b" for name in ("label", "queue") if name in row}
        rows.append(row)
    for name, some in (("train", rows), ("test", [test] * 3)):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in some), encoding="utf-8")
    (tmp_path / "sample_submission.csv").write_text("id,label\n1,a\n", encoding="utf-8")
    data = load_dataset(reader, DataSettings(path=str(tmp_path)))
    assert (len(data.train) + len(data.validation) + len(data.test)) == 40
    told = "\n".join(data.warnings)
    assert "test.jsonl: has no " in told
    assert ", and is left out" in told
    assert "sample_submission.csv" in told
    if test.keys() == train.keys() and "toxic" not in test:
        with pytest.raises(DataError, match=r"has no answer .* so nothing can be measured"):
            load_split(reader, DataSettings(path=str(tmp_path)), "test")


def test_a_split_that_the_settings_name_is_not_left_out(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,label\n" + "nine,a\nten,b\n" * 9, encoding="utf-8")
    (tmp_path / "other.csv").write_text("text\nsix\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"other\.csv: no column is known to hold the labels"):
        load_dataset(
            LabelReader, DataSettings(path=str(tmp_path / "train.csv"), test=str(tmp_path / "other.csv"))
        )


def test_a_class_that_is_called_minus_one_is_no_missing_label(tmp_path: Path) -> None:
    rows = "".join(f"text {row},{(-1, 1)[row % 2]}\n" for row in range(40))
    (tmp_path / "train.csv").write_text("text,label\n" + rows, encoding="utf-8")
    (tmp_path / "test.csv").write_text("text,label\nsix,-1\n", encoding="utf-8")
    assert len(load_dataset(LabelReader, DataSettings(path=str(tmp_path))).test) == 1
