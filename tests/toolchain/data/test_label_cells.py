"""Label cells in the forms that programs write: zeros and ones, lists as text, numbers that a file names."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ftool.data.dataset import Dataset
from ftool.data.load import load_dataset
from ftool.data.rows.labels import LabelledText, LabelReader
from ftool.errors import DataError
from ftool.recipe.data_settings import DataSettings

ANGER_JOY_FEAR = "anger\njoy\nfear\n"


def load_cells(tmp_path: Path, cells: Sequence[Any], **changes: Any) -> Dataset[LabelledText]:
    """Return the data set of one training row for each cell, and validation and test rows with the same cells."""
    for split in ("train", "validation", "test"):
        rows = [{"text": f"{split} {row}", "labels": cell} for row, cell in enumerate(cells)]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return load_dataset(LabelReader, DataSettings(path=str(tmp_path), **changes))


def load_csv_cells(tmp_path: Path, cells: Sequence[str], **changes: Any) -> Dataset[LabelledText]:
    for split in ("train", "validation", "test"):
        with (tmp_path / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
            rows = [(f"{split} {row}", cell) for row, cell in enumerate(cells)]
            csv.writer(file).writerows([("text", "label"), *rows])
    return load_dataset(LabelReader, DataSettings(path=str(tmp_path), **changes))


def labels_of(data: Dataset[LabelledText]) -> list[tuple[str, ...]]:
    return [example.labels for example in data.train.examples]


def names_file(tmp_path: Path, text: str, name: str = "names") -> str:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return str(tmp_path / name)


INDICATORS = [
    pytest.param([[1, 0, 0], [0, 1, 1], [0, 0, 0]], id="whole numbers"),
    pytest.param([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0]], id="floats"),
    pytest.param([[True, False, False], [False, True, True], [False, False, False]], id="booleans"),
    pytest.param(["[1, 0, 0]", "[0, 1, 1]", "[0, 0, 0]"], id="lists as text"),
    pytest.param(["[1 0 0]", "[0 1 1]", "[0 0 0]"], id="numpy's text"),
    pytest.param(["[1. 0. 0.]", "[0. 1. 1.]", "[0. 0. 0.]"], id="numpy's text of floats"),
    pytest.param(["1,0,0", "0,1,1", "0,0,0"], id="numbers with commas"),
    pytest.param(
        [{"anger": 1, "joy": 0, "fear": 0}, {"anger": 0, "joy": 1, "fear": 1}, {"anger": 0}], id="objects"
    ),
]


@pytest.mark.parametrize("cells", INDICATORS)
def test_lists_of_zeros_and_ones_say_which_labels_a_text_has(tmp_path: Path, cells: list[Any]) -> None:
    data = load_cells(tmp_path, cells, label_names=names_file(tmp_path, ANGER_JOY_FEAR))
    assert labels_of(data) == [("anger",), ("joy", "fear"), ()]
    assert (data.labels, data.facts["multi_label"]) == (("anger", "joy", "fear"), True)


def test_labels_without_names_are_called_by_their_position(tmp_path: Path) -> None:
    data = load_cells(tmp_path, [[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]])
    assert labels_of(data) == [("0",), ("1", "2"), ()]
    assert (
        "lists of 4 zeros and ones; labels are called by position, name them with --label-names"
        in data.notes[0]
    )
    assert "no training example has the label 3; the model won't know it" in data.warnings


def test_a_list_with_a_single_one_is_a_single_label_on_request(tmp_path: Path) -> None:
    assert labels_of(load_cells(tmp_path, [[1, 0], [0, 1]], multi_label=False)) == [("0",), ("1",)]


@pytest.mark.parametrize(
    "cells", [[[0], [1], [1]], [[0, 1], [1], [0]], [[0, 1, 2], [2, 1, 0]], [[3, 3], [0, 1], [2, 0]]]
)
def test_other_lists_of_numbers_are_label_numbers(tmp_path: Path, cells: list[list[int]]) -> None:
    data = load_cells(tmp_path, cells)
    assert labels_of(data) == [tuple(dict.fromkeys(map(str, cell))) for cell in cells]


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        ([1, 0], r"row 4 has the labels \[1, 0\], but the other rows have lists of 3 zeros and ones"),
        ([0, 2, 0], r"row 4 has the labels \[0, 2, 0\], but the other rows have lists of 3 zeros and ones"),
        (None, r"row 4 has the labels \[\], but the other rows have lists of 3"),
    ],
)
def test_a_row_unlike_the_other_lists_of_zeros_and_ones_is_refused(
    tmp_path: Path, odd: list[int] | None, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        load_cells(tmp_path, [[1, 0, 0], [0, 1, 0], [0, 1, 1], odd])


def test_shares_instead_of_zeros_and_ones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"row 1 has the label 0\.3, which is neither a name nor a whole number"
    ):
        load_cells(tmp_path, [[0.3, 0.7], [1.0, 0.0]])


def test_there_must_be_a_name_for_each_position(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"lists of 2 zeros and ones, but 3 labels are named \(.*names\)"):
        load_cells(tmp_path, [[1, 0], [0, 0]], label_names=names_file(tmp_path, ANGER_JOY_FEAR))


@pytest.mark.parametrize(
    ("cell", "labels"),
    [
        ("['card', 'account']", ("card", "account")),
        ("['card']", ("card",)),
        ("[]", ()),
        ('["card", "account"]', ("card", "account")),
        ("('card', 'account')", ("card", "account")),
        ("{'card'}", ("card",)),
        ("['card' 'account']", ("card", "account")),
        ("['card'\n 'account']", ("card", "account")),
        ("array(['card', 'account'], dtype=object)", ("card", "account")),
        ("[np.str_('card'), np.str_('account')]", ("card", "account")),
        ("[\"it's\", 'a, b']", ("it's", "a, b")),
        ("card", ("card",)),
        ("[urgent]", ("[urgent]",)),
        ("(other)", ("(other)",)),
    ],
)
def test_a_list_that_pandas_wrote_as_text_is_read_as_labels(
    tmp_path: Path, cell: str, labels: tuple[str, ...]
) -> None:
    data = load_csv_cells(tmp_path, ["['x', 'y']", cell])
    assert labels_of(data) == [("x", "y"), labels]
    assert data.facts["multi_label"]


@pytest.mark.parametrize("cell", ["[card, account]", "['card', 'acc", "['a' ... 'z']", "['a', open('x')]"])
def test_a_text_that_only_looks_like_a_list_is_refused(tmp_path: Path, cell: str) -> None:
    with pytest.raises(DataError, match=r"\.csv: row 3 has the label .*, which looks like a list or dict"):
        load_csv_cells(tmp_path, ["card", cell])


def test_a_separator_reads_names_in_brackets(tmp_path: Path) -> None:
    data = load_csv_cells(tmp_path, ["[card, account]", "card"], label_separator=",")
    assert labels_of(data) == [("card", "account"), ("card",)]


@pytest.mark.parametrize(
    ("file", "cells", "labels"),
    [
        ("0\tanger\n1\tjoy\n", ["1", "0"], ["joy", "anger"]),
        ("id\tname\n0\tanger\n1\tjoy\n", ["1", "0"], ["joy", "anger"]),
        ("1\tanger\n2\tjoy\n", ["2", "1"], ["joy", "anger"]),
        ("anger\t2\njoy\t1\n", ["2", "1"], ["anger", "joy"]),
        ('id,name\n1,"Arts, Crafts"\n2,Sport\n', ["1", "2.0"], ["Arts, Crafts", "Sport"]),
        ("-1: bad\n0: so so\n1: good\n", ["-1", "0"], ["bad", "so so"]),
        ("0 anger\n1 joy\n", ["1", "0"], ["joy", "anger"]),
        ("1 star\n2 stars\n3 stars\n", ["0", "2"], ["1 star", "3 stars"]),
        ("10:00\n11:00\n", ["0", "1"], ["10:00", "11:00"]),
        ('{"0": "anger", "1": "joy"}', ["1", "0"], ["joy", "anger"]),
        ('{"id2label": {"1": "anger", "2": "joy"}}', ["1", "2"], ["anger", "joy"]),
        ('{"anger": 5, "joy": 7}', ["7", "5"], ["joy", "anger"]),
        ('["anger", "joy"]', ["1", "0"], ["joy", "anger"]),
        ("1\n2\n3\n", ["1", "3"], None),
        ("0\t0\n1\t1\n", ["1", "0"], ["1", "0"]),
    ],
)
def test_a_file_of_names_may_give_their_numbers(
    tmp_path: Path, file: str, cells: list[str], labels: list[str] | None
) -> None:
    names = names_file(tmp_path, file)
    if labels is None:
        with pytest.raises(DataError, match="'1' is the name of the number 0, but also the number of '2'"):
            load_csv_cells(tmp_path, cells, label_names=names)
        return
    data = load_csv_cells(tmp_path, cells, label_names=names)
    assert labels_of(data) == [(label,) for label in labels]


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (
            "anger\njoy\n",
            "row 2 has the label '2', but the names are numbered 0 to 1; if the labels count otherwise",
        ),
        ("0\tanger\n5\tjoy\n", "row 2 has the label '2', but the names are numbered 0, 5"),
        ("0\tanger\n1\tjoy\nfear\n", "names: 'fear' has no number before the name, unlike most lines"),
        ("0\tanger\n0\tjoy\n", "names: has 0 more than once"),
        ('{"0": "anger",', "names: looks like JSON but is not"),
        ('{"architectures": ["Bert"]}', "names: 'architectures' and .* are not a label number and a name"),
    ],
)
def test_a_file_of_names_that_does_not_fit_is_refused(tmp_path: Path, file: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_csv_cells(tmp_path, ["2", "1"], label_names=names_file(tmp_path, file))


@pytest.mark.parametrize(
    ("cells", "labels", "told"),
    [
        pytest.param(["0.0", "1.0", "0.0"], ("0", "1"), True, id="a column of whole numbers with a hole"),
        pytest.param(["1.0", "2", "10.0"], ("1", "2", "10"), True, id="some as floats"),
        pytest.param(["1", "2", "3"], ("1", "2", "3"), False, id="whole numbers"),
        pytest.param(["1.0", "beta", "2.0"], ("1.0", "2.0", "beta"), False, id="names of versions"),
    ],
)
def test_whole_numbers_that_pandas_wrote_as_floats_are_read_as_whole_numbers(
    tmp_path: Path, cells: list[str], labels: tuple[str, ...], told: bool
) -> None:
    data = load_csv_cells(tmp_path, cells)
    assert data.labels == labels
    assert any("whole numbers written as 1.0 are read as 1" in note for note in data.notes) == told


def test_a_model_whose_labels_are_called_by_floats_keeps_them(tmp_path: Path) -> None:
    from ftool.data.label_policy import ModelFacts

    load_csv_cells(tmp_path, ["0.0", "1.0"])
    settings = DataSettings(path=str(tmp_path))
    assert load_dataset(LabelReader, settings, ModelFacts(labels=("0.0", "1.0"))).test.examples[1].labels == (
        "1.0",
    )
    assert load_dataset(LabelReader, settings, ModelFacts(labels=("0", "1"))).test.examples[1].labels == (
        "1",
    )
