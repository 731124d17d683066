"""Several regression targets of one text: in columns, lists or dicts."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.files import write_jsonl

from ftool.data.dataset import Dataset
from ftool.data.label_policy import ModelFacts
from ftool.data.load import load_dataset, load_split
from ftool.data.rows.labels import LabelledText, LabelReader
from ftool.data.rows.similarity import SimilarityReader
from ftool.errors import DataError
from ftool.recipe.data_settings import DataSettings

NAMES = ("grammar", "style", "content")
ROWS = [["one essay", 3.5, 2.0, 1.0], ["another", 2.0, 4.5, 1.5], ["the last", 1.0, 1.0, 2.0]]
SCORES = [tuple(row[1:]) for row in ROWS]
ESSAYS = ModelFacts(labels=NAMES, regression=True)


def table(folder: Path, columns: tuple[str, ...], rows: list[list[Any]]) -> Path:
    lines = [",".join(map(str, row)) for row in [columns, *rows]]
    path = folder / "d.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def load(path: Path, **settings: Any) -> Dataset[LabelledText]:
    """Data of one file, which is its own validation and test."""
    given = DataSettings(path=str(path), validation=str(path), test=str(path), **settings)
    return load_dataset(LabelReader, given)


def scores(data: Dataset[LabelledText]) -> list[Any]:
    return [one.scores for one in data.train.examples]


@pytest.mark.parametrize(
    ("columns", "settings", "names", "order"),
    [
        (("text", *NAMES), {}, NAMES, (0, 1, 2)),
        (("text", *NAMES), {"label": "style,grammar"}, ("style", "grammar"), (1, 0)),
        (("text", *NAMES), {"label": "Style, GRAMMAR"}, ("style", "grammar"), (1, 0)),
        (("essay", *NAMES), {"text": "essay"}, NAMES, (0, 1, 2)),
        (("text", "score", "style", "content"), {"label": "score,style"}, ("score", "style"), (0, 1)),
    ],
)
def test_columns_of_numbers_are_targets(
    columns: tuple[str, ...], settings: Any, names: tuple[str, ...], order: tuple[int, ...], tmp_path: Path
) -> None:
    data = load(table(tmp_path, columns, ROWS), **settings)
    assert (data.labels, data.facts["numbers"], data.facts["regression"]) == (names, list(names), True)
    assert scores(data) == [tuple(row[place] for place in order) for row in SCORES]
    listed = ", ".join(map(repr, names))
    assert any(
        f"regression targets (data.regression) from the columns {listed}" in note for note in data.notes
    )


@pytest.mark.parametrize(
    ("name", "ids"), [("id", range(3)), ("essay_id", [1.5, 2.5, 3.5]), ("text_id", ["0A", "0B", "FF"])]
)
def test_row_numbers_and_ids_are_no_targets(name: str, ids: Sequence[object], tmp_path: Path) -> None:
    rows = [[one, *row] for one, row in zip(ids, ROWS, strict=True)]
    assert load(table(tmp_path, (name, "full_text", *NAMES), rows)).labels == NAMES


def test_columns_of_whole_numbers_are_targets_where_the_settings_say_so(tmp_path: Path) -> None:
    path = table(tmp_path, ("text", "grammar", "style"), [["a", 1, 5], ["b", 0, 3], ["c", 1, 4]])
    with pytest.raises(DataError, match=r"no column is known to hold the labels.*--label-column"):
        load(path)
    assert scores(load(path, regression=True)) == [(1, 5), (0, 3), (1, 4)]
    assert scores(load(path, label="grammar,style")) == [(1, 5), (0, 3), (1, 4)]


def test_columns_beside_a_column_of_words_are_not_guessed(tmp_path: Path) -> None:
    path = table(tmp_path, ("text", "queue", "first", "second"), [["a", "x", 0.5, 1.5], ["b", "y", 1.5, 0.5]])
    with pytest.raises(DataError, match=r"the columns are 'text', 'queue', 'first', 'second': name one"):
        load(path)


@pytest.mark.parametrize("cell", ["", "n/a", "inf"])
def test_a_bad_cell_is_named(cell: str, tmp_path: Path) -> None:
    rows = [[f"text {place}", place / 4, place / 2] for place in range(30)]
    path = table(tmp_path, ("text", "grammar", "style"), [*rows, ["bad", 1.5, cell]])
    with pytest.raises(DataError, match=f"row 32 with no number in the column 'style', such as '{cell}'"):
        load(path)


def test_a_number_that_never_changes_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path, ("text", "grammar", "style"), [["a", 1.5, 2.5], ["b", 2.5, 2.5]])
    with pytest.raises(DataError, match=r"all numbers 'style' are 2\.5; they must differ"):
        load(path)


@pytest.mark.parametrize(
    ("cells", "settings", "names"),
    [
        (SCORES, {}, ("0", "1", "2")),
        ([json.dumps(row) for row in SCORES], {}, ("0", "1", "2")),
        (SCORES, {"label_names": "names.txt"}, NAMES),
        ([dict(zip(NAMES, row, strict=True)) for row in SCORES], {}, NAMES),
        ([dict(zip(NAMES[::-1], row[::-1], strict=True)) for row in SCORES], {}, NAMES[::-1]),
    ],
)
def test_lists_and_dicts_of_numbers_are_targets(
    cells: Any, settings: Any, names: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("names.txt").write_text("\n".join(NAMES))
    rows = [{"text": f"text {place}", "labels": cell} for place, cell in enumerate(cells)]
    data = load(write_jsonl(tmp_path / "d.jsonl", rows), **settings)
    assert data.labels == names
    wanted = SCORES if names != NAMES[::-1] else [row[::-1] for row in SCORES]
    assert scores(data) == wanted


@pytest.mark.parametrize("odd", [[1.5, 2.5], [1.5, 2.5, "x"], 4.5, None, {"a": 1, "b": 2, "c": 3}])
def test_a_row_unlike_the_other_lists_is_named(odd: Any, tmp_path: Path) -> None:
    rows = [{"text": f"text {n}", "labels": [n / 2, n / 4, n / 8]} for n in range(30)]
    path = write_jsonl(tmp_path / "d.jsonl", [*rows, {"text": "odd", "labels": odd}])
    with pytest.raises(DataError, match=r"row 31 has .* instead of 3 numbers \(0, 1, 2\)"):
        load(path)


def test_too_few_names_are_refused(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("grammar\nstyle\n")
    rows = [{"text": f"text {place}", "labels": row} for place, row in enumerate(SCORES)]
    with pytest.raises(DataError, match=r"each text has 3 numbers, but 2 \(grammar, style\) are named"):
        load(write_jsonl(tmp_path / "d.jsonl", rows), label_names=str(tmp_path / "names.txt"))


@pytest.mark.parametrize(
    ("columns", "settings", "model", "order"),
    [
        (("content", "grammar", "style"), {}, ESSAYS, (1, 2, 0)),
        (("Content", "Grammar", "Style"), {}, ESSAYS, (1, 2, 0)),
        (("content", "grammar", "style"), {"label": "content,style,grammar"}, ESSAYS, (1, 2, 0)),
        (("a", "b", "c"), {"label": "c,a,b"}, ESSAYS, (2, 0, 1)),
        (("a", "b", "c"), {}, ModelFacts(labels=("0", "1", "2"), regression=True), (0, 1, 2)),
    ],
)
def test_columns_are_read_in_the_order_of_a_models_outputs(
    columns: tuple[str, ...], settings: Any, model: ModelFacts, order: tuple[int, ...], tmp_path: Path
) -> None:
    path = table(tmp_path, ("text", *columns), ROWS)
    split = load_split(LabelReader, DataSettings(path=str(path), **settings), model=model)
    assert [one.scores for one in split.examples] == [tuple(row[place] for place in order) for row in SCORES]


@pytest.mark.parametrize(
    ("columns", "settings", "model", "message"),
    [
        (
            ("a", "b", "c"),
            {},
            ESSAYS,
            r"the model gives the numbers grammar, style, content, but the columns are",
        ),
        (("grammar", "style", "c"), {}, ESSAYS, r"the model gives the numbers grammar, style, content"),
        (
            ("a", "b", "c"),
            {"label": "a,b"},
            ESSAYS,
            r"each text has 2 numbers, but 3 .* is what the model gives",
        ),
        (
            ("a", "b", "c"),
            {"label": "a,b"},
            ModelFacts(regression=True),
            r"2 numbers, but one is what the model",
        ),
        (("score", "b", "c"), {}, ESSAYS, r"each text has 1 number, but 3 .* is what the model gives"),
        (("a", "b", "c"), {"label": "a,d"}, None, r"has no column 'a,d'"),
    ],
)
def test_other_numbers_than_the_models_are_refused(
    columns: tuple[str, ...], settings: Any, model: ModelFacts | None, message: str, tmp_path: Path
) -> None:
    path = table(tmp_path, ("text", *columns), ROWS)
    with pytest.raises(DataError, match=message):
        load_split(LabelReader, DataSettings(path=str(path), **settings), model=model)


def test_decimal_commas_are_numbers_only_where_they_can_be_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("text;label\nnine;2,27\nten;2\n", encoding="utf-8")
    settings = DataSettings(path=str(path), validation=str(path), test=str(path))
    several = load_dataset(LabelReader, replace(settings, label_separator=","))
    assert several.labels == ("2", "27")
    assert load_dataset(LabelReader, settings).train.examples[0].scores == (2.27,)
    path.write_text("text\tlabel\nnine\t2,27\nten\t2\n", encoding="utf-8")
    assert load_dataset(LabelReader, settings).labels == ("2", "2,27")
    assert load_dataset(LabelReader, replace(settings, regression=True)).train.examples[0].scores == (2.27,)


def test_scores_of_pairs_may_have_decimal_commas(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("sentence1;sentence2;score\na;b;3,5\nc;d;4\n", encoding="utf-8")
    settings = DataSettings(path=str(path), validation=str(path), test=str(path))
    assert [one.score for one in load_dataset(SimilarityReader, settings).train.examples] == [3.5, 4.0]
