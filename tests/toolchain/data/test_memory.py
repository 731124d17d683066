"""Rows that a Python program holds are read like files, and can be saved for a recipe."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas
import pyarrow
import pytest

from ftool.data.load import load_dataset, load_rows
from ftool.data.rows.labels import LabelReader
from ftool.data.rows.tags import TagReader
from ftool.data.sources.memory import save_rows, tables_in_memory
from ftool.errors import DataError

ROWS = [{"body": f"text {n}", "queue": ["card", "account"][n % 2]} for n in range(40)]
NAMES = ("account", "card")


def as_classes() -> datasets.Dataset:
    features = datasets.Features(
        {"body": datasets.Value("string"), "queue": datasets.ClassLabel(names=NAMES)}
    )
    rows = [{**row, "queue": NAMES.index(row["queue"])} for row in ROWS]
    return datasets.Dataset.from_list(rows, features=features)


FORMS: dict[str, Callable[[], Any]] = {
    "list": lambda: ROWS,
    "generator": lambda: (row for row in ROWS),
    "pandas": lambda: pandas.DataFrame(ROWS, index=range(100, 140)),
    "pandas_categories": lambda: pandas.DataFrame(ROWS).astype({"queue": "category"}),
    "arrow": lambda: pyarrow.Table.from_pylist(ROWS),
    "dataset": lambda: datasets.Dataset.from_list(ROWS),
    "dataset_classes": as_classes,
    "dict_of_splits": lambda: {"train": ROWS},
    "dataset_dict": lambda: datasets.DatasetDict(train=as_classes()),
}


@pytest.mark.parametrize("form", FORMS)
def test_rows_in_memory_are_read_like_a_file(tmp_path: Path, form: str) -> None:
    data = load_rows(LabelReader, FORMS[form](), text="body", label="queue")
    found = {(one.text, *one.labels) for split in data.splits.values() for one in split.examples}
    assert found == {(row["body"], row["queue"]) for row in ROWS}
    assert data.labels == NAMES


@pytest.mark.parametrize("form", ["list", "pandas", "dataset_classes", "dataset_dict"])
def test_rows_in_memory_can_be_saved_for_a_recipe(tmp_path: Path, form: str) -> None:
    data = load_dataset(LabelReader, save_rows(FORMS[form](), tmp_path / "data"))
    assert data.sha256 == load_rows(LabelReader, FORMS[form]()).sha256
    save_rows(FORMS[form](), tmp_path / "data")  # the same rows may stay
    with pytest.raises(DataError, match="data: already holds other files"):
        save_rows(ROWS[:-1], tmp_path / "data")


def test_splits_in_memory_are_these(tmp_path: Path) -> None:
    rows = {"train": pandas.DataFrame(ROWS), "dev": ROWS[:4], "test": ROWS[4:8]}
    data = load_rows(LabelReader, rows)
    assert {name: len(split) for name, split in data.splits.items()} == {
        "train": 40,
        "validation": 4,
        "test": 4,
    }
    load_dataset(LabelReader, save_rows(rows, tmp_path / "data"))
    assert {path.name for path in (tmp_path / "data").iterdir()} == {
        "train.parquet",
        "validation.parquet",
        "test.parquet",
    }


def test_missing_cells_and_values_of_numpy_become_pythons() -> None:
    frame = pandas.DataFrame(
        {
            "a": ["x", None, np.nan],
            "b": [np.array(["u", "v"]), [1, np.int64(2)], pandas.NA],
            "c": [1, None, 3],
        }
    )
    table = tables_in_memory(frame)["all"]
    assert [row.cells for row in table.rows] == [
        ("x", ["u", "v"], 1.0),
        (None, [1, 2], None),
        (None, None, 3.0),
    ]


def test_words_in_arrays_are_read() -> None:
    frame = pandas.DataFrame(
        {"tokens": [np.array(["Ann", "saw"])] * 30, "tags": [np.array(["B-per", "O"])] * 30}
    )
    frame["tokens"] = [[f"Ann{n}", "saw"] for n in range(30)]
    assert load_rows(TagReader, frame).labels == ("O", "B-per", "I-per")


def test_errors_name_the_kind_and_the_position() -> None:
    frame = pandas.DataFrame([*ROWS, {"body": None, "queue": "card"}])
    with pytest.raises(DataError, match="DataFrame: row 41 without a text"):
        load_rows(LabelReader, frame)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("data.csv", "can't read rows from str; give a DataFrame, .* or name a file in data.path"),
        (5, "can't read rows from int"),
        ({"text": ["a"], "label": ["b"]}, "the rows are a dict of 'text', 'label'; give a list of dicts"),
        ([("a", "b")], "list: row 1 is a list of 2 cells"),
        ([], "list: holds no examples"),
        ({"test": ROWS}, "the rows have no train split, only test"),
    ],
)
def test_other_objects_are_refused(rows: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_rows(LabelReader, rows)
