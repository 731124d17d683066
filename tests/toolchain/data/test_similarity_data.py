"""Pairs, triplets and scored pairs: columns, splits, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from ftool.data.dataset import Dataset, fingerprint
from ftool.data.load import load_dataset, load_split
from ftool.data.rows.similarity import SimilarityReader, SimilarPair, kind_of
from ftool.errors import DataError
from ftool.recipe.data_settings import DataSettings


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def load(path: str, **settings: Any) -> Dataset[SimilarPair]:
    return load_dataset(SimilarityReader, DataSettings(path=path, **settings))


def rows(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"anchor": f"query {i}", "positive": f"passage {i}"} | more for i in range(count)]


def texts_of(data: Dataset[SimilarPair], split: str) -> set[str]:
    return {text for example in data.split(split).examples for text in example.texts}


@pytest.mark.parametrize(
    ("row", "kind", "texts", "score"),
    [
        ({"anchor": "a", "positive": "b"}, "pairs", ("a", "b"), None),
        ({"question": "a", "context": "b", "id": 7}, "pairs", ("a", "b"), None),
        ({"query": "a", "pos": "b", "neg": "c"}, "triplets", ("a", "b", "c"), None),
        # GLUE STS-B and MTEB
        ({"sentence1": "a", "sentence2": "b", "label": 3.8, "idx": 0}, "scored", ("a", "b"), 3.8),
        ({"sentence1": "a", "sentence2": "b", "score": "2"}, "scored", ("a", "b"), 2.0),
        # a label that is no number is no score
        ({"premise": "a", "hypothesis": "b", "label": "entailment"}, "pairs", ("a", "b"), None),
    ],
)
def test_columns_are_found_by_their_usual_names(
    row: dict[str, Any], kind: str, texts: tuple[str, ...], score: float | None, tmp_path: Path
) -> None:
    split = load_split(SimilarityReader, DataSettings(path=write(tmp_path / "data.jsonl", [row])))
    (example,) = split.examples
    assert (kind_of(split), example.texts, example.score, example.row) == (kind, texts, score, 1)


def test_columns_can_be_named(tmp_path: Path) -> None:
    path = write(tmp_path / "data.jsonl", [{"x": "a", "y": "b", "z": "c", "anchor": "no", "score": 1}])
    settings = DataSettings(path=path, anchor="x", positive="y", negative="z")
    assert load_split(SimilarityReader, settings).examples[0].texts == ("a", "b", "c")


def test_a_list_of_positives_or_negatives_makes_an_example_of_each(tmp_path: Path) -> None:
    row = {"query": "a", "pos": ["b", "c"], "neg": ["d", "e"]}
    split = load_split(SimilarityReader, DataSettings(path=write(tmp_path / "data.jsonl", [row])))
    assert [e.texts for e in split.examples] == [
        ("a", "b", "d"), ("a", "b", "e"), ("a", "c", "d"), ("a", "c", "e")
    ]  # fmt: skip


def test_rows_that_share_a_text_stay_on_one_side(tmp_path: Path) -> None:
    # Anchors come twice, with other passages; every second passage is another row's query.
    made = [
        {"anchor": f"query {i // 2}", "positive": f"Passage {i}" if i % 2 else f"passage  {i + 1}"}
        for i in range(200)
    ]
    data = load(write(tmp_path / "data.jsonl", made))
    sides = [
        {t.casefold().replace("  ", " ") for t in texts_of(data, s)} for s in ("train", "validation", "test")
    ]
    assert not (sides[0] & sides[1])
    assert not (sides[0] & sides[2])
    assert not (sides[1] & sides[2])
    assert [len(data.split(s)) for s in ("train", "validation", "test")] == [160, 20, 20]
    assert "rows that share a text on one side" in data.notes[1]


def test_where_all_hang_together_each_anchor_stays_on_one_side(tmp_path: Path) -> None:
    made = [{"anchor": f"query {i % 40}", "positive": f"passage {i % 7}"} for i in range(280)]
    data = load(write(tmp_path / "data.jsonl", made))
    anchors = [{e.anchor for e in data.split(s).examples} for s in ("train", "validation", "test")]
    assert not (anchors[0] & anchors[1])
    assert not (anchors[0] & anchors[2])
    assert not (anchors[1] & anchors[2])
    assert "each anchor on one side" in data.notes[1]


def test_which_rows_are_cut_depends_on_the_seed_and_the_texts_alone(tmp_path: Path) -> None:
    one, two = write(tmp_path / "one.jsonl", rows(50)), write(tmp_path / "two.jsonl", rows(50, other=1))
    assert texts_of(load(one), "test") == texts_of(load(two), "test") != texts_of(load(one, seed=14), "test")


def test_the_fingerprint_is_of_the_texts_and_scores() -> None:
    one, same = SimilarPair("a", "b", row=3), SimilarPair("a", "b", row=9)
    assert fingerprint([one]) == fingerprint([same])
    assert fingerprint([one]) != fingerprint([SimilarPair("a", "b", score=1.0)])


def test_a_text_of_training_in_another_split_is_warned_of(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", rows(30))
    write(tmp_path / "test.jsonl", [{"anchor": "QUERY 3", "positive": "else"}])
    (warning,) = load(str(tmp_path)).warnings
    assert "1 of 1 texts are also in the training data" in warning


@pytest.mark.parametrize(
    ("made", "settings", "words"),
    [
        ([{"anchor": "a"}], {}, "no column is known to hold the positives .* --set data.positive=NAME"),
        ([{"x": "a", "y": "b"}], {"anchor": "x"}, "the positives"),
        ([{"anchor": "a", "positive": " "}], {}, "row 1 without a positive"),
        ([{"anchor": None, "positive": "b"}], {}, "row 1 without a text in 'anchor'"),
        ([{"anchor": "a", "positive": "b", "negative": []}], {}, "row 1 without a negative"),
        ([{"anchor": "a", "positive": 3}], {}, "row 1 with a positive .* that is not a string"),
        ([{"anchor": "a", "positive": "b", "score": "x"}], {"score": "score"}, "row 1 with no number .* 'x'"),
        ([{"anchor": "a", "positive": "b", "score": None}], {"score": "score"}, "row 1 with no number"),
        ([{"anchor": "a", "positive": "b", "score": True}], {"score": "score"}, "row 1 with no number"),
        ([{"anchor": "a", "text": "b"}], {"positive": "anchor"}, "both the column 'anchor'"),
        (
            [{"anchor": "a", "positive": "b", "negative": "c", "score": 1}],
            {"score": "score"},
            "rows can have negatives or scores, but not both",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_by_file_row_and_remedy(
    made: list[dict[str, Any]], settings: dict[str, Any], words: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "data.jsonl", made)
    with pytest.raises(DataError, match=words) as error:
        load_split(SimilarityReader, DataSettings(path=path, **settings))
    assert "data.jsonl" in str(error.value)


def test_splits_of_different_kinds_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", rows(30, score=1))
    write(tmp_path / "test.jsonl", rows(3))
    with pytest.raises(DataError, match=r"its rows are pairs, those of .* are scored"):
        load(str(tmp_path))


def test_scores_that_are_all_the_same_teach_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="all scores are 1"):
        load(write(tmp_path / "data.jsonl", rows(30, score=1)))
