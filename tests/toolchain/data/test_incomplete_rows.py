"""Rows without a text or a label: refused together, or left out and counted; leftovers of HTML are named."""

from pathlib import Path
from typing import Any

import pytest

from ftool.data.inspection.report import inspect_dataset
from ftool.data.load import load_dataset
from ftool.data.rows.labels import LabelReader
from ftool.errors import DataError
from ftool.recipe.data_settings import DataSettings

ROWS = [(f"text {number}", "ab"[number % 2]) for number in range(60)]


def load(folder: Path, rows: list[tuple[str, str]], **settings: Any) -> Any:
    path = folder / "data.csv"
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    return load_dataset(LabelReader, DataSettings(path=str(path), **settings))


def test_missing_texts_and_labels_are_named_in_one_message(tmp_path: Path) -> None:
    rows = [*ROWS, (" ", "a"), ("no label", "")]
    with pytest.raises(DataError) as caught:
        load(tmp_path, rows)
    message = str(caught.value)
    assert "row 62 without a text" in message
    assert "row 63 has no label" in message
    assert "--skip-incomplete" in message
    assert "--multi-label" not in message


def test_incomplete_rows_are_left_out_and_counted_on_request(tmp_path: Path) -> None:
    data = load(tmp_path, [*ROWS, (" ", "a"), ("no label", ""), ("none", " ")], skip_incomplete=True)
    assert sum(map(len, data.splits.values())) == 60
    (warning,) = [one for one in data.warnings if "incomplete" in one]
    assert "1 without a text, 2 without a label (rows 62, 63 and 64)" in warning


def test_a_column_without_any_label_is_refused_all_the_same(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        load(tmp_path, [(text, "") for text, _ in ROWS], skip_incomplete=True)


def test_leftovers_of_html_are_named(tmp_path: Path) -> None:
    rows = [*ROWS, ("<p>my card</p>", "a"), ("five &nbsp;pounds", "b"), ("2 < 3 & 4 > 1 R&D;", "a")]
    found = inspect_dataset(load(tmp_path, rows), "text-classification")
    assert found.html_texts == 2
    assert any("HTML tags or entities, such as <br/> or &nbsp;: 2 (" in one for one in found.checks())
    clean = inspect_dataset(load(tmp_path, ROWS), "text-classification")
    assert not any("HTML" in one for one in clean.checks())
