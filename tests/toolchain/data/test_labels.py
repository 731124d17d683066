"""Labels: one a text or several, names or numbers, and those that training lacks."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from ftool.data.load import load_dataset, load_split, load_texts
from ftool.data.types import ClassificationData, DataError, Split
from ftool.recipe.data_settings import DataSettings


def write_csv(path: Path, labels: Sequence[str]) -> str:
    rows = "".join(f'text {number},"{label}"\n' for number, label in enumerate(labels))
    path.write_text("text,label\n" + rows, encoding="utf-8")
    return str(path)


def folder(tmp_path: Path, **splits: Sequence[str]) -> str:
    for number, (split, labels) in enumerate(splits.items()):
        rows = "".join(f'{split} text {number} {row},"{label}"\n' for row, label in enumerate(labels))
        (tmp_path / f"{split}.csv").write_text("text,label\n" + rows, encoding="utf-8")
    return str(tmp_path)


def names_of(data: ClassificationData, split: Split) -> list[list[str]]:
    return [[data.label_names[label] for label in labels] for labels in split.label_sets]


def test_labels_are_sorted_names(tmp_path: Path) -> None:
    data = load_dataset(
        DataSettings(path=folder(tmp_path, train=["b", "a", "c"], validation=["a"], test=["c"]))
    )
    assert data.label_names == ("a", "b", "c")
    assert data.train.single_labels == [1, 0, 2]
    assert (data.validation.labels, data.test.labels) == ([0], [2])


def test_labels_that_are_numbers_are_sorted_by_value(tmp_path: Path) -> None:
    data = load_dataset(
        DataSettings(path=folder(tmp_path, train=["10", "9", "2"], validation=["2"], test=["9"]))
    )
    assert data.label_names == ("2", "9", "10")


def test_a_file_names_the_labels_that_are_numbers(tmp_path: Path) -> None:
    names = tmp_path / "labels.txt"
    names.write_text("sad\nhappy\n", encoding="utf-8")
    path = folder(tmp_path, train=["1", "0", "1"], validation=["1"], test=["0"])
    data = load_dataset(DataSettings(path=path, label_names=str(names)))
    assert (data.label_names, data.multi_label) == (("sad", "happy"), False)
    assert names_of(data, data.train) == [["happy"], ["sad"], ["happy"]]


def test_lists_of_numbers_with_names_are_several_labels(tmp_path: Path) -> None:
    names = tmp_path / "labels.txt"
    names.write_text("sad\nhappy\ncalm\n", encoding="utf-8")
    path = folder(tmp_path, train=["1", "0,2", "2", ""], validation=["1"], test=["0"])
    data = load_dataset(DataSettings(path=path, label_names=str(names)))
    assert data.multi_label
    assert names_of(data, data.train) == [["happy"], ["sad", "calm"], ["calm"], []]


def test_a_separator_that_occurs_makes_several_labels(tmp_path: Path) -> None:
    path = folder(tmp_path, train=["b | a", "a", "a|a"], validation=["b"], test=["a"])
    data = load_dataset(DataSettings(path=path, label_separator="|"))
    assert data.multi_label
    assert data.train.labels == [[0, 1], [0], [0]]


def test_a_comma_in_a_label_is_a_part_of_it_unless_said_otherwise(tmp_path: Path) -> None:
    path = folder(tmp_path, train=["a, b", "c"], validation=["c"], test=["c"])
    assert load_dataset(DataSettings(path=path)).label_names == ("a, b", "c")
    assert load_dataset(DataSettings(path=path, multi_label=True)).label_names == ("a", "b", "c")


def test_lists_of_labels_make_several_labels(tmp_path: Path) -> None:
    rows = [{"text": f"text {row}", "labels": ["x", "y"] if row % 3 else []} for row in range(30)]
    (tmp_path / "d.json").write_text(json.dumps(rows), encoding="utf-8")
    data = load_dataset(DataSettings(path=str(tmp_path / "d.json")))
    assert data.multi_label
    assert {tuple(labels) for labels in data.train.label_sets} == {(), (0, 1)}
    with pytest.raises(DataError, match="several labels each"):
        _ = data.train.single_labels


def test_true_and_false_are_labels(tmp_path: Path) -> None:
    rows = [{"text": f"text {row}", "label": row % 2 == 0} for row in range(30)]
    (tmp_path / "d.json").write_text(json.dumps(rows), encoding="utf-8")
    assert load_dataset(DataSettings(path=str(tmp_path / "d.json"))).label_names == ("false", "true")


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_label_that_training_lacks_is_refused_with_its_rows(tmp_path: Path, split: str) -> None:
    splits = {"train": ["a", "b"], "validation": ["a"], "test": ["b"]}
    splits[split] = [*splits[split], "new", "new"]
    with pytest.raises(DataError) as refused:
        load_dataset(DataSettings(path=folder(tmp_path, **splits)))
    assert f"{split}.csv: rows 3 and 4 with the label 'new', which no training example has" in str(
        refused.value
    )


@pytest.mark.parametrize(
    ("labels", "changes", "message"),
    [
        (["a", "a"], {}, "only one label, 'a'"),
        (["", ""], {"multi_label": True}, "no label at all"),
        (["a|b", "a"], {"multi_label": False, "label_separator": "|"}, r"row 2 has 2 labels \(a, b\)"),
        (["0", "2"], {"label_names": "names"}, "row 3 has the label '2', where names say 0 to 1"),
        (["0", "x"], {"label_names": "names"}, "row 3 has the label 'x', where names say 0 to 1"),
        (["0", "1"], {"label_names": "twice"}, "twice: has 'no' more than once"),
        (["0", "1"], {"label_names": "gone"}, "gone: there is no such file"),
    ],
)
def test_labels_that_cannot_be_used_are_refused(
    tmp_path: Path, labels: list[str], changes: dict[str, object], message: str
) -> None:
    (tmp_path / "names").write_text("no\nyes\n", encoding="utf-8")
    (tmp_path / "twice").write_text("no\nno\n", encoding="utf-8")
    if "label_names" in changes:
        changes = {**changes, "label_names": str(tmp_path / str(changes["label_names"]))}
    path = write_csv(tmp_path / "d.csv", labels)
    with pytest.raises(DataError, match=message):
        load_dataset(DataSettings(path=path, **changes))  # type: ignore[arg-type]


def test_a_name_without_an_example_is_left_out_and_said(tmp_path: Path) -> None:
    names = tmp_path / "labels.txt"
    names.write_text("sad\nhappy\nnever\n", encoding="utf-8")
    path = folder(tmp_path, train=["1", "0"], validation=["1"], test=["0"])
    data = load_dataset(DataSettings(path=path, label_names=str(names)))
    assert data.label_names == ("sad", "happy")
    assert any("never" in warning for warning in data.warnings)


def test_text_in_two_splits_is_warned_of_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,label\nHello  there,a\nbye,b\n", encoding="utf-8")
    (tmp_path / "test.csv").write_text("text,label\nnew,a\nhello there,a\n", encoding="utf-8")
    (tmp_path / "dev.csv").write_text("text,label\nother,b\n", encoding="utf-8")
    (warning,) = load_dataset(DataSettings(path=str(tmp_path))).warnings
    assert "test.csv: 1 of 2 texts stand in the training data too (first: row 3: 'hello there')" in warning


def test_the_same_text_with_different_labels_is_warned_of(tmp_path: Path) -> None:
    folder(tmp_path, validation=["a"], test=["b"])
    (tmp_path / "train.csv").write_text("text,label\nhm,a\nhm,b\nhm,b\n", encoding="utf-8")
    (warning,) = load_dataset(DataSettings(path=str(tmp_path))).warnings
    assert "1 text with different labels in different rows (first: rows 2 (a) and 3 (b))" in warning


def test_the_hash_is_of_the_training_examples_and_not_of_their_file(tmp_path: Path) -> None:
    splits = {"train": ["a", "b"], "validation": ["a"], "test": ["b"]}
    first = load_dataset(DataSettings(path=folder(tmp_path, **splits)))
    lines = (tmp_path / "train.csv").read_text(encoding="utf-8").splitlines()[1:]
    (tmp_path / "train.csv").unlink()
    rows = [dict(zip(("text", "label"), line.replace('"', "").split(","), strict=True)) for line in lines]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert load_dataset(DataSettings(path=str(tmp_path))).sha256 == first.sha256
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, reversed(rows))), encoding="utf-8")
    assert load_dataset(DataSettings(path=str(tmp_path))).sha256 != first.sha256


def test_examples_for_a_trained_model_get_its_numbers(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "d.csv", ["b", "c", "b"])
    split = load_split(DataSettings(path=path), ("c", "a", "b"), multi_label=False)
    assert split.labels == [2, 0, 2]


def test_a_label_that_a_trained_model_lacks_is_refused(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "d.csv", ["b", "z"])
    with pytest.raises(DataError, match="row 3 with the label 'z', which the model does not know"):
        load_split(DataSettings(path=path), ("a", "b"), multi_label=False)


def test_a_multi_label_model_takes_cells_of_one_label(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "d.csv", ["b", "a,b", ""])
    assert load_split(DataSettings(path=path), ("a", "b"), multi_label=True).labels == [[1], [0, 1], []]


def test_texts_are_read_without_labels(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("id,text\n1,one\n2,two\n", encoding="utf-8")
    assert load_texts(DataSettings(path=str(tmp_path / "d.csv"))) == ["one", "two"]


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(DataError, match="labelled texts are for text-classification"):
        load_dataset(DataSettings(path="builtin:intents"), "translation")


@pytest.mark.parametrize(
    ("path", "changes", "expected"),
    [
        ("banking77", {}, (10_003, 3_080, 77, False)),
        (
            "goemotions",
            {"columns": ("text", "label", "id"), "label_names": "labels.txt"},
            (43_410, 5_427, 28, True),
        ),
        ("afrisenti_swa", {}, (1_810, 748, 3, False)),
        ("clinc150/data_small.json", {"columns": ("text", "label")}, (7_500, 4_500, 150, False)),
    ],
)
def test_real_data_is_read_whole(
    shared_data: Path, path: str, changes: dict[str, object], expected: tuple[int, int, int, bool]
) -> None:
    if "label_names" in changes:
        changes = {**changes, "label_names": str(shared_data / path / str(changes["label_names"]))}
    data = load_dataset(DataSettings(path=str(shared_data / path), **changes))  # type: ignore[arg-type]
    cut = 0 if (shared_data / path / "dev.tsv").exists() or path.endswith(".json") else len(data.validation)
    assert (len(data.train) + cut, len(data.test), len(data.label_names), data.multi_label) == expected
