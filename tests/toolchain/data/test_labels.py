"""Labels of texts: single or multiple, names or numbers, and labels that the training split lacks."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ftool.data.dataset import Dataset, Split
from ftool.data.label_policy import ModelFacts
from ftool.data.load import load_dataset, load_split, split_for_model
from ftool.data.rows.labels import LabelledText, LabelReader
from ftool.errors import DataError
from ftool.recipe.data_settings import DataSettings
from ftool.training.losses import encode_targets


def write_csv(path: Path, labels: Sequence[str]) -> str:
    rows = "".join(f'text {number},"{label}"\n' for number, label in enumerate(labels))
    path.write_text("text,label\n" + rows, encoding="utf-8")
    return str(path)


def folder(tmp_path: Path, **splits: Sequence[str]) -> str:
    for number, (split, labels) in enumerate(splits.items()):
        rows = "".join(f'{split} text {number} {row},"{label}"\n' for row, label in enumerate(labels))
        (tmp_path / f"{split}.csv").write_text("text,label\n" + rows, encoding="utf-8")
    return str(tmp_path)


def load(path: str, **changes: Any) -> Dataset[LabelledText]:
    return load_dataset(LabelReader, DataSettings(path=path, **changes))


def names_of(split: Split[LabelledText]) -> list[list[str]]:
    return [list(example.labels) for example in split.examples]


def test_labels_are_sorted_names(tmp_path: Path) -> None:
    data = load(folder(tmp_path, train=["b", "a", "c"], validation=["a"], test=["c"]))
    assert data.labels == ("a", "b", "c")
    assert names_of(data.train) == [["b"], ["a"], ["c"]]
    assert (names_of(data.validation), names_of(data.test)) == ([["a"]], [["c"]])


def test_labels_that_are_numbers_are_sorted_by_value(tmp_path: Path) -> None:
    data = load(folder(tmp_path, train=["10", "9", "2"], validation=["2"], test=["9"]))
    assert data.labels == ("2", "9", "10")


def test_a_file_names_the_labels_that_are_numbers(tmp_path: Path) -> None:
    names = tmp_path / "labels.txt"
    names.write_text("sad\nhappy\n", encoding="utf-8")
    path = folder(tmp_path, train=["1", "0", "1"], validation=["1"], test=["0"])
    data = load_dataset(LabelReader, DataSettings(path=path, label_names=str(names)))
    assert (data.labels, data.facts["multi_label"]) == (("sad", "happy"), False)
    assert names_of(data.train) == [["happy"], ["sad"], ["happy"]]


def test_lists_of_numbers_with_names_are_several_labels(tmp_path: Path) -> None:
    names = tmp_path / "labels.txt"
    names.write_text("sad\nhappy\ncalm\n", encoding="utf-8")
    path = folder(tmp_path, train=["1", "0,2", "2", ""], validation=["1"], test=["0"])
    data = load_dataset(LabelReader, DataSettings(path=path, label_names=str(names)))
    assert data.facts["multi_label"]
    assert names_of(data.train) == [["happy"], ["sad", "calm"], ["calm"], []]


def test_a_separator_that_occurs_makes_several_labels(tmp_path: Path) -> None:
    path = folder(tmp_path, train=["b | a", "a", "a|a"], validation=["b"], test=["a"])
    data = load_dataset(LabelReader, DataSettings(path=path, label_separator="|"))
    assert data.facts["multi_label"]
    assert names_of(data.train) == [["b", "a"], ["a"], ["a"]]


def test_a_comma_in_a_label_is_a_part_of_it_unless_said_otherwise(tmp_path: Path) -> None:
    path = folder(tmp_path, train=["a, b", "c"], validation=["c"], test=["c"])
    assert load_dataset(LabelReader, DataSettings(path=path)).labels == ("a, b", "c")
    assert load_dataset(LabelReader, DataSettings(path=path, multi_label=True)).labels == ("a", "b", "c")


def test_lists_of_labels_make_several_labels(tmp_path: Path) -> None:
    rows = [{"text": f"text {row}", "labels": ["x", "y"] if row % 3 else []} for row in range(30)]
    (tmp_path / "d.json").write_text(json.dumps(rows), encoding="utf-8")
    data = load_dataset(LabelReader, DataSettings(path=str(tmp_path / "d.json")))
    assert data.facts["multi_label"]
    assert {tuple(labels) for labels in names_of(data.train)} == {(), ("x", "y")}


def test_true_and_false_are_labels(tmp_path: Path) -> None:
    rows = [{"text": f"text {row}", "label": row % 2 == 0} for row in range(30)]
    (tmp_path / "d.json").write_text(json.dumps(rows), encoding="utf-8")
    assert load_dataset(LabelReader, DataSettings(path=str(tmp_path / "d.json"))).labels == ("false", "true")


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_label_that_training_lacks_is_refused_with_its_rows(tmp_path: Path, split: str) -> None:
    splits = {"train": ["a", "b"], "validation": ["a"], "test": ["b"]}
    splits[split] = [*splits[split], "new", "new"]
    with pytest.raises(DataError) as refused:
        load_dataset(LabelReader, DataSettings(path=folder(tmp_path, **splits)))
    assert f"{split}.csv: rows 3 and 4 with the label 'new', which no training example has" in str(
        refused.value
    )


@pytest.mark.parametrize(
    ("labels", "changes", "message"),
    [
        (["a", "a"], {}, "only one label, 'a'"),
        (["", ""], {"multi_label": True}, "no label at all"),
        (["a|b", "a"], {"multi_label": False, "label_separator": "|"}, r"row 2 has 2 labels \(a, b\)"),
        (["0", "2"], {"label_names": "names"}, "row 3 has the label '2', but the names are numbered 0 to 1"),
        (["0", "x"], {"label_names": "names"}, "row 3 has the label 'x', but the names are numbered 0 to 1"),
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
        load_dataset(LabelReader, DataSettings(path=path, **changes))  # type: ignore[arg-type]


def test_a_name_without_an_example_is_left_out_and_said(tmp_path: Path) -> None:
    names = tmp_path / "labels.txt"
    names.write_text("sad\nhappy\nnever\n", encoding="utf-8")
    path = folder(tmp_path, train=["1", "0"], validation=["1"], test=["0"])
    data = load_dataset(LabelReader, DataSettings(path=path, label_names=str(names)))
    assert data.labels == ("sad", "happy")
    assert any("never" in warning for warning in data.warnings)


def test_text_in_two_splits_is_warned_of_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,label\nHello  there,a\nbye,b\n", encoding="utf-8")
    (tmp_path / "test.csv").write_text("text,label\nnew,a\nhello there,a\n", encoding="utf-8")
    (tmp_path / "dev.csv").write_text("text,label\nother,b\n", encoding="utf-8")
    (warning,) = load_dataset(LabelReader, DataSettings(path=str(tmp_path))).warnings
    assert "test.csv: 1 of 2 texts are also in the training data (first: row 3: 'hello there')" in warning


def test_the_same_text_with_different_labels_is_warned_of(tmp_path: Path) -> None:
    folder(tmp_path, validation=["a"], test=["b"])
    (tmp_path / "train.csv").write_text("text,label\nhm,a\nhm,b\nhm,b\n", encoding="utf-8")
    (warning,) = load_dataset(LabelReader, DataSettings(path=str(tmp_path))).warnings
    assert "1 text with different labels in different rows: rows 2 (a) and 3 (b)" in warning


def test_the_hash_is_of_the_training_examples_and_not_of_their_file(tmp_path: Path) -> None:
    splits = {"train": ["a", "b"], "validation": ["a"], "test": ["b"]}
    first = load_dataset(LabelReader, DataSettings(path=folder(tmp_path, **splits)))
    lines = (tmp_path / "train.csv").read_text(encoding="utf-8").splitlines()[1:]
    (tmp_path / "train.csv").unlink()
    rows = [dict(zip(("text", "label"), line.replace('"', "").split(","), strict=True)) for line in lines]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert load_dataset(LabelReader, DataSettings(path=str(tmp_path))).sha256 == first.sha256
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, reversed(rows))), encoding="utf-8")
    assert load_dataset(LabelReader, DataSettings(path=str(tmp_path))).sha256 != first.sha256


def test_examples_for_a_trained_model_get_its_numbers(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "d.csv", ["b", "c", "b"])
    known = ("c", "a", "b")
    split = load_split(LabelReader, DataSettings(path=path), model=ModelFacts(known))
    assert encode_targets(split.examples, known, multi_label=False).tolist() == [2, 0, 2]


def test_a_label_that_a_trained_model_lacks_is_refused(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "d.csv", ["b", "z"])
    with pytest.raises(DataError, match="row 3 with the label 'z', which the model does not know"):
        load_split(LabelReader, DataSettings(path=path), model=ModelFacts(("a", "b")))


# --- one policy on labels: a model's own data, and other data


KNOWN = ModelFacts(("c", "a", "b"))


def test_data_may_lack_labels_that_the_model_knows(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = folder(tmp_path, train=["b", "c", "b"], validation=["b"], test=["c"])
    data = load_dataset(LabelReader, DataSettings(path=path), KNOWN)
    assert data.labels == KNOWN.labels
    assert data.facts == {"multi_label": False, "regression": False, "pairs": False}
    (warning,) = data.warnings
    assert warning == f"{path}: no example has 1 of the 3 labels that the model knows: 'a'"
    assert warning in caplog.text
    load_split(LabelReader, DataSettings(path=path), model=KNOWN)
    assert "test.csv: no example has 2 of the 3 labels that the model knows: 'a', 'b'" in caplog.text


def test_of_many_labels_that_data_lacks_the_first_are_named(tmp_path: Path) -> None:
    known = ModelFacts(tuple(f"label {number}" for number in range(20)))
    path = folder(tmp_path, train=["label 19"], validation=["label 19"], test=["label 19"])
    (warning,) = load_dataset(LabelReader, DataSettings(path=path), known).warnings
    assert warning.endswith(
        "no example has 19 of the 20 labels that the model knows: "
        "'label 0', 'label 1', 'label 2', 'label 3', 'label 4' and 14 more"
    )


@pytest.mark.parametrize("where", ["train", "validation", "test"])
def test_a_label_that_the_model_lacks_is_refused_in_any_split(tmp_path: Path, where: str) -> None:
    known = ModelFacts(("card_lost", "refund"))
    splits = {name: ["card_lost", "refund"] for name in ("train", "validation", "test")}
    splits[where] = [*splits[where], "card_lots"]
    settings = DataSettings(path=folder(tmp_path, **splits))
    message = f"{where}.csv: row 4 with the label 'card_lots', which the model does not know; did you mean 'card_lost'"
    with pytest.raises(DataError, match=message):
        split_for_model(LabelReader, settings, None, "test", known)
    with pytest.raises(DataError, match=message):
        split_for_model(LabelReader, DataSettings(path="unused"), settings, where, known)


def test_data_is_read_as_the_model_was_trained_whatever_is_left_of_it(tmp_path: Path) -> None:
    path = folder(tmp_path, train=["a", "b"], validation=["a"], test=["b"])
    several = load_dataset(LabelReader, DataSettings(path=path), ModelFacts(("a", "b"), multi_label=True))
    assert several.facts["multi_label"]
    rows = [{"text": f"text {n}", "text_pair": f"pair {n}", "label": "ab"[n % 2]} for n in range(40)]
    pairs = tmp_path / "pairs.json"
    pairs.write_text(json.dumps(rows), encoding="utf-8")
    single = load_dataset(LabelReader, DataSettings(path=str(pairs)), ModelFacts(("a", "b")))
    assert isinstance(single.test.inputs[0], str)
    with pytest.raises(DataError, match=r"the model takes one text; leave --pair-column out"):
        load_dataset(
            LabelReader, DataSettings(path=str(pairs), text_pair="text_pair"), ModelFacts(("a", "b"))
        )


def test_a_multi_label_model_takes_cells_of_one_label(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "d.csv", ["b", "a,b", ""])
    split = load_split(LabelReader, DataSettings(path=path), model=ModelFacts(("a", "b"), multi_label=True))
    assert names_of(split) == [["b"], ["a", "b"], []]
    assert encode_targets(split.examples, ("a", "b"), multi_label=True).tolist() == [[0, 1], [1, 1], [0, 0]]


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
    data = load_dataset(LabelReader, DataSettings(path=str(shared_data / path), **changes))  # type: ignore[arg-type]
    cut = 0 if (shared_data / path / "dev.tsv").exists() or path.endswith(".json") else len(data.validation)
    assert (len(data.train) + cut, len(data.test), len(data.labels), data.facts["multi_label"]) == expected


@pytest.mark.parametrize(
    "columns", ["Text,Label Text", " text ,label-text", "TEXT,LabelText", "text,_label_"]
)
def test_usual_columns_are_found_without_regard_to_case_and_punctuation(tmp_path: Path, columns: str) -> None:
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}.csv").write_text(f"{columns}\n{split} 1,a\n{split} 2,b\n", encoding="utf-8")
    assert load(str(tmp_path)).labels == ("a", "b")


@pytest.mark.parametrize("columns", ["Sentence 1,Sentence 2", "question_1,Question-2", "Text A,Text B"])
def test_usual_pairs_of_columns_are_found_without_regard_to_case_and_punctuation(
    tmp_path: Path, columns: str
) -> None:
    for split in ("train", "validation", "test"):
        rows = f"{split} a,b,x\n{split} c,d,y\n"
        (tmp_path / f"{split}.csv").write_text(f"{columns},label\n{rows}", encoding="utf-8")
    assert load(str(tmp_path)).test.inputs[0] == {"text": "test a", "text_pair": "b"}
