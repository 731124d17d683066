"""Exact match and F1 equal those of SQuAD's scripts, and the no-answer threshold is tuned correctly."""

import runpy
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.paths import REPOSITORY

from ftool.evaluation.metrics.answers import ScoredSpans, question_metrics, score_answers, tune_threshold

SCORER = runpy.run_path(str(REPOSITORY / "tests" / "helpers" / "squad2_scorer.py"))
TEXTS = st.text(alphabet="aant he.THE,bé中 -'_\t", max_size=14)


def judged(best: Sequence[str], margins: Sequence[float], references: Sequence[Sequence[str]]) -> ScoredSpans:
    return ScoredSpans(best=best, margins=np.array(margins, dtype=np.float64), references=references)


@pytest.mark.parametrize(
    ("answer", "references", "exact", "f1"),
    [
        ("The Normans", ["normans"], 1, 1),
        ("normans of France", ["the Normans"], 0, 0.5),  # 1 of 3 words, all of 1
        ("in 10th century.", ["10th centuries", "the 10th century"], 0, 0.8),
        ("", [], 1, 1),
        ("something", [], 0, 0),
        ("", ["something"], 0, 0),
        ("a a b", ["a b b", "c"], 0, 2 / 3),  # articles go: "b" against "b b"
        ("over over", ["over"], 0, 2 / 3),
        ("anything", ["the"], 0, 0),  # a reference of an article alone is none
    ],
)
def test_answers_are_scored_as_squad_does(
    answer: str, references: list[str], exact: float, f1: float
) -> None:
    found = score_answers([answer], [references])
    assert found[0].tolist() == [exact]
    assert found[1].tolist() == pytest.approx([f1])


@given(
    rows=st.lists(
        st.tuples(TEXTS, st.floats(-3, 3), st.lists(TEXTS.filter(bool), max_size=3)), min_size=1, max_size=12
    ),
    threshold=st.floats(-3, 3),
)
def test_metrics_agree_with_the_scorer_written_for_tests(
    rows: list[tuple[str, float, list[str]]], threshold: float
) -> None:
    best, margins, references = zip(*rows, strict=True)
    metrics = question_metrics(judged(best, margins, references), threshold)
    answers = judged(best, margins, references).answers(threshold)
    questions = [
        {"id": str(number), "answers": [{"text": text} for text in texts]}
        for number, texts in enumerate(references)
    ]
    expected = SCORER["score"](
        {"data": [{"paragraphs": [{"qas": questions}]}]}, {str(n): text for n, text in enumerate(answers)}
    )
    for name in {"f1", "exact_match", *metrics} & set(expected):
        assert 100 * metrics[name] == pytest.approx(expected[name], abs=1e-9)


@given(
    rows=st.lists(
        st.tuples(st.booleans(), st.sampled_from([0.0, 0.5, 1.0]), st.integers(-3, 3)), min_size=1, max_size=9
    )
)
def test_the_tuned_threshold_is_the_best_there_is(rows: list[tuple[bool, float, int]]) -> None:
    """F1 at the tuned threshold is that of the best of all thresholds, and the one `question_metrics` reports."""
    text = {0.0: "wrong", 0.5: "right and much wrong", 1.0: "right"}
    best = [text[f1] for _, f1, _ in rows]
    references = [["right"] if answerable else [] for answerable, _, _ in rows]
    asked = judged(best, [float(margin) for *_, margin in rows], references)
    threshold, f1 = tune_threshold(asked)

    def at(limit: float) -> float:
        return float(score_answers(asked.answers(limit), references)[1].mean())

    assert at(threshold) == pytest.approx(f1)
    assert f1 == pytest.approx(max(at(limit / 2) for limit in range(-9, 10)))
    assert np.isfinite(threshold)


def test_margins_that_are_infinite_leave_the_threshold_finite() -> None:
    asked = judged(["", "right"], [-np.inf, 2.0], [[], ["right"]])
    threshold, f1 = tune_threshold(asked)
    assert (np.isfinite(threshold), f1) == (True, 1.0)


def test_a_model_that_always_answers_has_no_figures_of_no_answer() -> None:
    metrics = question_metrics(judged(["a b", "c"], [0.0, 0.0], [["b"], ["d"]]), None)
    assert metrics == {"f1": 0.5, "exact_match": 0.5}


def test_figures_are_told_apart_by_whether_there_is_an_answer() -> None:
    metrics = question_metrics(judged(["x", "y", "z"], [1.0, -1.0, 1.0], [["x"], [], []]), 0.0)
    assert metrics["has_answer_f1"] == 1.0
    assert metrics["no_answer_f1"] == 0.5
    assert (metrics["has_answer_examples"], metrics["no_answer_examples"]) == (1, 2)
    assert metrics["f1"] == pytest.approx(2 / 3)
    assert question_metrics(judged(["x y", "z"], [-9.0, 1.0], [["x"], []]), 0.0)["span_f1"] == pytest.approx(
        2 / 3
    )
