"""Metrics of taggers equal seqeval's, in its default and strict modes, also for any subset of the texts.

seqeval.jsonl holds what seqeval 1.2.2 says of 25 random cases: `classification_report`, `accuracy_score`, and
`f1_score` with mode="strict" and scheme=IOB2.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftool.data.rows.tag_schemes import spans_of_tags, tags_of_spans
from ftool.evaluation.metrics.entities import entity_metrics, entity_score, entity_statistics

TRUTH = [["B-per", "I-per", "O", "B-loc"], ["O", "B-loc", "B-loc"], ["B-org"]]
ANSWERS = [["B-per", "I-per", "O", "B-per"], ["O", "B-loc", "I-loc"], ["O"]]


def test_an_entity_is_right_where_all_its_words_and_its_kind_are() -> None:
    metrics = entity_metrics(TRUTH, ANSWERS)
    assert metrics["precision"] == pytest.approx(1 / 3)  # of "per" twice and one "loc", the first is right
    assert metrics["recall"] == pytest.approx(1 / 5)
    assert metrics["f1"] == entity_score(TRUTH, ANSWERS) == pytest.approx(2 * 1 / (3 + 5))
    assert metrics["accuracy"] == pytest.approx(5 / 8)
    assert metrics["entities"] == 5
    assert metrics["per_class"]["per"] == {
        "precision": 0.5,
        "recall": 1.0,
        "f1": pytest.approx(2 / 3),
        "support": 1,
    }
    assert metrics["f1_macro"] == pytest.approx((0 + 0 + 2 / 3) / 3)


def test_nothing_found_and_nothing_to_find_are_figures_too() -> None:
    assert entity_metrics([["O", "O"]], [["O", "O"]])["f1"] == 0
    assert entity_metrics([["B-a"]], [["O"]])["precision"] == 0


@st.composite
def tagged(draw: st.DrawFn) -> tuple[list[list[str]], list[list[str]]]:
    """Tags of some texts, and other tags of the same, both sound IOB2."""
    lengths = draw(st.lists(st.integers(1, 8), min_size=1, max_size=6))
    tag = st.sampled_from(["O", "B-a", "I-a", "B-b", "I-b"])

    def tags(length: int) -> list[str]:
        raw = draw(st.lists(tag, min_size=length, max_size=length))
        return tags_of_spans(spans_of_tags(raw), length)

    return [tags(length) for length in lengths], [tags(length) for length in lengths]


def test_the_figures_are_those_of_seqeval_in_both_of_its_modes() -> None:
    for line in Path(__file__).with_name("seqeval.jsonl").read_text().splitlines():
        case = json.loads(line)
        truth, answers = ([tags.split() for tags in case.pop(side)] for side in ("truth", "answers"))
        metrics = entity_metrics(truth, answers)
        strict, per_kind = case.pop("f1_strict"), case.pop("per_class")
        assert {name: metrics[name] for name in case} == pytest.approx(case)
        assert metrics["f1"] == pytest.approx(strict)
        assert {kind: pytest.approx(row) for kind, row in per_kind.items()} == metrics["per_class"]


@given(tagged(), st.data())
@settings(max_examples=40)
def test_sums_give_the_metrics_of_any_part(both: Any, data: st.DataObject) -> None:
    truth, answers = both
    chosen = data.draw(st.lists(st.booleans(), min_size=len(truth), max_size=len(truth)))
    part = [[tags[i] for i, take in enumerate(chosen) if take] for tags in (truth, answers)]
    found = entity_statistics(truth, answers).metrics(np.array([chosen], dtype=np.int64))
    if not any(spans_of_tags(tags) for tags in (*part[0], *part[1])):
        assert np.isnan(found["f1"][0])
        return
    expected = entity_metrics(*part)
    for name in ("f1", "f1_macro", "accuracy"):
        assert found[name][0] == pytest.approx(expected[name])
