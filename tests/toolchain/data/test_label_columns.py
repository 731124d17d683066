"""Labels in columns of zeros and ones, and labels that stand for none."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
from tests.helpers.files import write_jsonl

from ftool.data.dataset import Dataset
from ftool.data.label_policy import ModelFacts
from ftool.data.load import load_dataset, load_rows, load_split
from ftool.data.rows.labels import LabelledText, LabelReader
from ftool.errors import DataError
from ftool.recipe.data_settings import DataSettings


def load(path: Path, **settings: Any) -> Dataset[LabelledText]:
    """Data of one file, which is its own validation and test."""
    given = DataSettings(path=str(path), validation=str(path), test=str(path), **settings)
    return load_dataset(LabelReader, given)


def write(path: Path, header: str, rows: list[str]) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(("no", "yes"), [("0", "1"), ("0.0", "1.0"), ("False", "True")])
def test_columns_of_zeros_and_ones_are_labels(tmp_path: Path, no: str, yes: str) -> None:
    rows = [f"1,both,{yes},{yes},{no}", f"2,one,{no},{yes},{no}", f"3,none,{no},{no},{no}"]
    data = load(write(tmp_path / "d.csv", "id,comment_text,toxic,rude,vile", rows))
    assert [one.labels for one in data.train.examples] == [("toxic", "rude"), ("rude",), ()]
    assert data.facts["multi_label"]
    assert any(
        "labels from the columns of zeros and ones, 'toxic', 'rude', 'vile'" in note for note in data.notes
    )
    assert f"{tmp_path / 'd.csv'}: no text has the label 'vile'; the model won't know it" in data.warnings


def test_columns_of_zeros_and_ones_are_single_labels_if_every_row_has_one(tmp_path: Path) -> None:
    data = load(write(tmp_path / "d.csv", "text,glad,sad", ["a,1,0", "b,0,1"]))
    assert ([one.labels for one in data.train.examples], data.facts["multi_label"]) == (
        [("glad",), ("sad",)],
        False,
    )


def test_a_bad_cell_of_another_split_is_named(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "text,glad,sad", ["a,1,0", "b,0,1"])
    write(tmp_path / "test.csv", "text,glad,sad", ["a,1,0", "b,0,2"])
    with pytest.raises(
        DataError, match=r"test\.csv: row 3 has '2' in the column 'sad', which is neither 0 nor 1"
    ):
        load_dataset(LabelReader, DataSettings(path=str(tmp_path)))


def test_a_label_column_counts_more_than_columns_of_zeros_and_ones(tmp_path: Path) -> None:
    data = load(write(tmp_path / "d.csv", "text,label,seen,kept", ["a,x,1,0", "b,y,0,1"]))
    assert data.labels == ("x", "y")


@pytest.mark.parametrize(
    ("labels", "kept"),
    [
        (["0", "1", "2", "-1"], ("0", "1", "2")),
        (["yes", "no", "-"], ("no", "yes")),
        (["-1", "0", "1"], ("-1", "0", "1")),  # bad, neutral, good
        (["-2", "-1", "0", "1", "2"], ("-1", "-2", "0", "1", "2")),
        (["-1", "1"], ("-1", "1")),
        (["+", "-"], ("+", "-")),
        (["A-", "A", "B"], ("A", "A-", "B")),
    ],
)
def test_rows_whose_label_stands_for_none_are_left_out_and_counted(
    tmp_path: Path, labels: list[str], kept: tuple[str, ...]
) -> None:
    data = load(
        write(tmp_path / "d.csv", "text,label", [f"text {n},{label}" for n, label in enumerate(labels)])
    )
    assert data.labels == kept
    assert [one.labels for one in data.train.examples] == [(label,) for label in labels if label in kept]
    left_out = [warning for warning in data.warnings if "stands for no label" in warning]
    last = len(labels) + 1
    assert left_out == [
        f"{tmp_path / 'd.csv'}: row {last} with the label {labels[-1]}, which stands for no label, and was left out"
    ] * (3 if len(kept) < len(labels) else 0)


@pytest.mark.parametrize("form", [list, datasets.Dataset.from_list])
def test_minus_one_stands_for_no_label_where_numbers_have_names(
    tmp_path: Path, form: Callable[[list[Any]], Any]
) -> None:
    rows = [{"text": f"text {n}", "label": [0, 1, -1][n % 3]} for n in range(60)]
    (tmp_path / "names.txt").write_text("glad\nsad\n", encoding="utf-8")
    data = load_rows(LabelReader, form(rows), label_names=str(tmp_path / "names.txt"))
    assert (data.labels, sum(map(len, data.splits.values()))) == (("glad", "sad"), 40)
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["glad", "sad"])}
    )
    named = datasets.Dataset.from_list(rows, features=features)
    assert load_rows(LabelReader, named).labels == ("glad", "sad")


@pytest.mark.parametrize("separator", [",", ";", "|"])
def test_labels_that_are_other_labels_joined_are_told(tmp_path: Path, separator: str) -> None:
    rows = [f'text {n},"{label}"' for n, label in enumerate(["card", "account", f"card{separator} account"])]
    path = write(tmp_path / "d.csv", "text,label", rows)
    (told, *_) = [line for line in load(path).warnings if "with --label-separator" in line]
    assert (
        f"labels such as 'card{separator} account' are other labels with '{separator}' between them" in told
    )
    data = load(path, label_separator=separator)
    assert data.labels == ("account", "card")
    assert not any("--label-separator" in line for line in data.warnings)


def test_a_model_that_knows_minus_one_keeps_it(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "d.jsonl", [{"text": f"t {n}", "label": n} for n in (0, 1, 2, -1)])
    model = ModelFacts(labels=("-1", "0", "1", "2"), multi_label=False, regression=False, pairs=False)
    assert len(load_split(LabelReader, DataSettings(path=str(path)), model=model)) == 4


@pytest.mark.parametrize(
    "labels",
    [("food/sweet", "food/salty", "talk/news"), ("card, lost", "card, new", "account"), ("a+", "a-", "b+")],
)
def test_labels_of_levels_and_of_prose_are_not_taken_for_several(
    tmp_path: Path, labels: tuple[str, ...]
) -> None:
    path = tmp_path / "d.jsonl"
    rows = [{"text": f"text {row}", "label": label} for row, label in enumerate(labels * 2)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    data = load_dataset(LabelReader, DataSettings(path=str(path), validation=str(path), test=str(path)))
    assert not any("--label-separator" in line for line in data.warnings)
