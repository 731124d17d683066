"""Rows of a query and a document become queries with their documents; candidates are added where none are graded."""

import json
from pathlib import Path
from typing import Any

import pytest

from ftool.data.dataset import Dataset, Split
from ftool.data.load import load_dataset, load_split
from ftool.data.rows.ranking import RankedQuery, RankingReader, labelled_pairs
from ftool.errors import DataError
from ftool.recipe.data_settings import DataSettings
from ftool.training.hard_negatives import CANDIDATES, sampled, with_candidates


def read(path: Path, rows: list[dict[str, Any]]) -> Split[RankedQuery]:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return load_split(RankingReader, DataSettings(path=str(path)))


def loaded(path: Path, rows: list[dict[str, Any]]) -> Dataset[RankedQuery]:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return load_dataset(RankingReader, DataSettings(path=str(path)))


def test_all_rows_of_a_query_are_one_example(tmp_path: Path) -> None:
    split = read(
        tmp_path / "judged.jsonl",
        [
            {"query": "a", "document": "one", "score": 2},
            {"query": "b", "document": "one", "score": 0},
            {"query": "a", "document": "two", "score": 0},
            {"query": "b", "document": "two", "score": 1},
        ],
    )
    assert [(one.query, one.documents, one.relevances, one.row) for one in split.examples] == [
        ("a", ("one", "two"), (2.0, 0.0), 1),
        ("b", ("one", "two"), (0.0, 1.0), 2),
    ]
    assert split.examples[0].pairs[1] == {"text": "a", "text_pair": "two"}


def test_negatives_are_irrelevant_documents(tmp_path: Path) -> None:
    rows = [{"query": "a", "positive": "yes", "negative": ["no", "not"]}]
    (one,) = read(tmp_path / "triplets.jsonl", rows).examples
    assert dict(zip(one.documents, one.relevances, strict=True)) == {"yes": 1.0, "no": 0.0, "not": 0.0}
    assert not one.graded


@pytest.mark.parametrize(
    ("score", "message"), [(-1, r"row 1 has the relevance -1; it must be 0"), (0, "no document is relevant")]
)
def test_scores_that_rank_nothing_are_refused(score: float, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path / "judged.jsonl", [{"query": "a", "document": "one", "score": score}])


def test_a_contradiction_is_warned_of_and_the_higher_relevance_counts(tmp_path: Path) -> None:
    rows = [{"query": f"query {n}", "document": f"text {n}", "score": n % 2} for n in range(60)]
    data = loaded(tmp_path / "judged.jsonl", [*rows, rows[0] | {"score": 1}])
    assert any("1 pairs of a query and a document" in warning for warning in data.warnings)
    found = {one.query: one for split in data.splits.values() for one in split.examples}
    assert found["query 0"].relevances == (1.0,)


def test_queries_that_share_a_document_stay_on_one_side(tmp_path: Path) -> None:
    rows = [{"query": f"query {n}", "document": f"text {n // 3}"} for n in range(90)]
    data = loaded(tmp_path / "pairs.jsonl", rows)
    sides = [
        {text for one in split.examples for text in one.documents}
        for split in (data.train, data.validation, data.test)
    ]
    assert all(sides)
    assert not sides[0] & sides[1]
    assert not sides[0] & sides[2]
    assert not sides[1] & sides[2]


def test_candidates_share_words_with_the_query_and_are_never_its_own(tmp_path: Path) -> None:
    rows = [{"query": f"about topic{n % 40}", "document": f"topic{n % 40} text {n}"} for n in range(120)]
    split = read(tmp_path / "pairs.jsonl", rows)
    for one in with_candidates(split, 1).examples:
        assert len(one.documents) == CANDIDATES == len(set(one.documents))
        assert sum(one.relevances) == 3  # the query's own three texts, and nothing that was added
    far = read(tmp_path / "far.jsonl", [*rows, {"query": "topic7 again", "document": "nothing like it"}])
    added = with_candidates(far, 1).examples[-1].documents[1:]
    assert all("topic7 " in text for text in added[:3])


def test_graded_queries_keep_their_documents(tmp_path: Path) -> None:
    rows = [{"query": f"query {n // 2}", "document": f"text {n}", "score": n % 2} for n in range(20)]
    split = read(tmp_path / "judged.jsonl", rows)
    assert with_candidates(split, 1) is split
    assert sampled(split, 0, 1).examples == split.examples


def test_negatives_are_drawn_for_each_query_alone(tmp_path: Path) -> None:
    rows = [{"query": f"query {n}", "document": f"text {n}"} for n in range(50)]
    split = with_candidates(read(tmp_path / "pairs.jsonl", rows), 1)
    some = sampled(split, 4, 7)
    assert {len(one.documents) for one in some.examples} == {5}
    assert all(one.relevances == (1.0, 0.0, 0.0, 0.0, 0.0) for one in some.examples)
    assert sampled(split.take([9]), 4, 7).examples[0] == some.examples[9]
    assert sampled(split, 4, 8).examples != some.examples


def test_relevances_become_shares_of_the_largest(tmp_path: Path) -> None:
    rows = [{"query": "a", "document": f"text {grade}", "score": grade} for grade in (0, 1, 4)]
    pairs = labelled_pairs(read(tmp_path / "judged.jsonl", rows), largest=2.0)
    assert [one.scores for one in pairs.examples] == [(0.0,), (0.5,), (1.0,)]
