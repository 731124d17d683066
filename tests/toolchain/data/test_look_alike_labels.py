"""Labels that look alike: told with their counts, and folded into one on request."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ftool.data.dataset import Dataset
from ftool.data.label_policy import ModelFacts
from ftool.data.load import load_dataset
from ftool.data.rows.labels import LabelledText, LabelReader
from ftool.data.rows.tags import TagReader
from ftool.errors import DataError
from ftool.recipe.data_settings import DataSettings

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


def write_splits(tmp_path: Path, rows: Sequence[dict[str, Any]]) -> str:
    for split in ("train", "validation", "test"):
        lines = [json.dumps({**row, "text": f"{split} {number}"}) for number, row in enumerate(rows)]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return str(tmp_path)


def load(
    tmp_path: Path, labels: Sequence[Any], model: ModelFacts | None = None, **changes: Any
) -> Dataset[LabelledText]:
    path = write_splits(tmp_path, [{"label": label} for label in labels])
    return load_dataset(LabelReader, DataSettings(path=path, **changes), model)


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (["refund", "REFUND", "refund", "Refund"], "'refund' (6) and 'REFUND' (3) and 'Refund' (3)"),
        (["damaged_item", "damaged item", "damaged-item", "damaged item"], "'damaged item' (6) and"),
        ([COMPOSED, DECOMPOSED, DECOMPOSED, "tea"], r"'cafe\u0301' (6) and 'café' (3)"),
        (["card", "card\u200b", "card", "tea"], r"'card' (6) and 'card\u200b' (3)"),
        (["card", "\ufeffcard", "card", "tea"], r"'card' (6) and '\ufeffcard' (3)"),
        (["a b", "a\u00a0b", "a b", "tea"], r"'a b' (6) and 'a\xa0b' (3)"),
        (["１", "1", "1", "tea"], "'1' (6) and '１' (3)"),
    ],
)
def test_look_alikes_are_told_with_counts_and_folded_on_request(
    tmp_path: Path, labels: list[str], told: str
) -> None:
    (warning,) = load(tmp_path, labels).warnings
    assert f"labels that look alike are different labels: {told}" in warning
    assert "fold them into one with --fold-labels (data.fold_labels = true)" in warning
    frequent = max(sorted(set(labels)), key=labels.count)
    folded = load(tmp_path, [*labels, "other"], fold_labels=True)
    assert folded.labels == tuple(sorted({frequent, "other", *(["tea"] if "tea" in labels else [])}))
    assert folded.warnings == ()


@pytest.mark.parametrize(
    "labels", [["-1", "1", "0"], ["A", "A-", "A+"], ["C", "C++", "C#"], ["-", "_", "x"], ["1-1", "11"]]
)
def test_signs_tell_labels_apart(tmp_path: Path, labels: list[str]) -> None:
    assert load(tmp_path, labels).warnings == ()
    assert set(load(tmp_path, labels, fold_labels=True).labels) == set(labels)


def test_several_labels_of_one_text_are_folded_into_one(tmp_path: Path) -> None:
    data = load(tmp_path, [["card", "Card"], ["card"], ["tea"]], fold_labels=True)
    assert [example.labels for example in data.train.examples] == [("card",), ("card",), ("tea",)]


def test_labels_are_folded_into_those_that_the_model_knows(tmp_path: Path) -> None:
    model = ModelFacts(("Refund", "tea"))
    with pytest.raises(
        DataError, match="'Refund' looks like this label: fold both into one with --fold-labels"
    ):
        load(tmp_path, ["refund", "refund", "tea"], model)
    data = load(tmp_path, ["refund", "refund", "tea"], model, fold_labels=True)
    assert [example.labels for example in data.train.examples] == [("Refund",), ("Refund",), ("tea",)]


def test_kinds_of_entity_are_told_and_folded(tmp_path: Path) -> None:
    rows = [{"tokens": ["Ann", "Lee"], "ner_tags": ["B-Person", "I-person"]}] * 2
    rows += [{"tokens": ["in", "Bonn"], "ner_tags": ["O", "B-person"]}]
    for split in ("train", "validation", "test"):
        lines = [json.dumps(row) for row in rows]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    data = load_dataset(TagReader, DataSettings(path=str(tmp_path)))
    assert any("'person' (9) and 'Person' (6)" in warning for warning in data.warnings)
    data = load_dataset(TagReader, DataSettings(path=str(tmp_path), fold_labels=True))
    assert data.labels == ("O", "B-person", "I-person")
    assert data.train.examples[0].tags == ("B-person", "I-person")
