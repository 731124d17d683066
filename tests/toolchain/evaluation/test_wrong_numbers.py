"""Answers to read of regressors and embedders: which are chosen, in which order, and what is said of them."""

import numpy as np
import pytest

from ftool.data.dataset import Split
from ftool.data.rows.labels import LabelledText
from ftool.data.rows.similarity import SimilarPair
from ftool.data.table import Table
from ftool.evaluation.wrong_numbers import find_wrong_neighbours, find_wrong_numbers


def test_numbers_further_off_than_the_average_are_read_the_furthest_first() -> None:
    examples = [LabelledText(f"text {n}", scores=(float(n),), row=n) for n in range(5)]
    answers = np.array([[0.0], [1.0], [4.0], [3.0], [3.0]], dtype=np.float32)
    found = find_wrong_numbers(examples, answers, (), split="test")
    assert [(one.row, one.labels, one.answer) for one in found.found] == [
        (2, ("2",), ("4",)),
        (4, ("4",), ("3",)),
    ]
    assert found.total == 2
    assert found.found[0].confidence == pytest.approx(0.5)  # 2 of a range of 4


def test_of_several_numbers_the_worst_counts_in_shares_of_its_own_range() -> None:
    scores = [(0.0, 0.0), (1.0, 100.0)]
    examples = [LabelledText("a text", scores=one, row=place) for place, one in enumerate(scores)]
    answers = np.array([[0.5, 1.0], [1.0, 90.0]], dtype=np.float32)
    found = find_wrong_numbers(examples, answers, ("tone", "length"), split="test")
    assert [one.row for one in found.found] == [0]
    assert found.found[0].confidence == pytest.approx(0.5)
    assert found.found[0].answer == ("tone 0.5", "length 1")


def pairs(*rows: tuple[str, str], scores: tuple[float, ...] = ()) -> Split[SimilarPair]:
    examples = [
        SimilarPair(*texts, score=score, row=place)
        for place, (texts, score) in enumerate(zip(rows, scores or (None,) * len(rows), strict=True))
    ]
    return Split(examples, "here", Table())


def test_queries_that_find_another_passage_are_read_those_first_whose_own_comes_last() -> None:
    split = pairs(("a", "A"), ("b", "B"), ("c", "C"))
    queries = np.eye(3, dtype=np.float32)
    passages = np.array([[1, 0.5, 0.9], [0.5, 0.1, 0.5], [0.1, 0.4, 0.8]], dtype=np.float32)
    found = find_wrong_neighbours(split, [queries, passages], "dot", "test")
    assert [(one.text, one.labels, one.answer, one.confidence) for one in found.found] == [
        ("b", ("B",), ("A",), 3),
        ("c", ("C",), ("A",), 2),
    ]
    assert (found.total, found.share) == (2, False)


def test_a_query_with_several_passages_is_right_if_it_finds_any_of_them_first() -> None:
    split = pairs(("a", "A"), ("a", "B"))
    vectors = [np.ones((1, 1), dtype=np.float32), np.array([[1], [2]], dtype=np.float32)]
    assert find_wrong_neighbours(split, vectors, "dot", "test").total == 0


def test_scored_pairs_are_read_by_their_place_among_all_pairs() -> None:
    split = pairs(("a", "A"), ("b", "B"), ("c", "C"), ("d", "D"), scores=(1, 2, 3, 4))
    first = np.ones((4, 1), dtype=np.float32)
    second = np.array([[0.9], [0.2], [0.3], [0.1]], dtype=np.float32)
    found = find_wrong_neighbours(split, [first, second], "dot", "test")
    assert [one.text for one in found.found] == ["a\nA", "d\nD"]
    assert found.found[0].labels == ("1, above 0% of the pairs",)
    assert found.found[0].answer == ("0.900, above 100% of the pairs",)
