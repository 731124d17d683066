"""From logits to classifications: arithmetic, ties, thresholds, and what is refused."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import ftool_runtime as ft
from ftool_runtime.postprocessing.classification import classify, probabilities, resolve_thresholds

LABELS = ("a", "b", "c")
logits = arrays(
    np.float32, st.tuples(st.integers(1, 9), st.integers(1, 20)), elements=st.floats(-1e4, 1e4, width=32)
)


@given(logits)
def test_softmax_rows_are_distributions_in_the_order_of_the_logits(values: Any) -> None:
    scores = probabilities(values, multi_label=False)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-12)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert (scores.max(axis=1) == scores[np.arange(len(values)), values.argmax(axis=1)]).all()


@given(logits)
def test_sigmoid_is_symmetric_and_never_overflows(values: Any) -> None:
    with np.errstate(over="raise", invalid="raise"):
        scores = probabilities(values, multi_label=True)
    np.testing.assert_allclose(scores + probabilities(-values, multi_label=True), 1, atol=1e-12)


@given(logits, st.booleans())
def test_a_row_does_not_depend_on_the_others(values: Any, multi_label: bool) -> None:
    together = probabilities(values, multi_label=multi_label)
    alone = np.concatenate([probabilities(row[None], multi_label=multi_label) for row in values])
    np.testing.assert_array_equal(together, alone)


def test_known_values() -> None:
    # softmax of (0, ln 2, ln 5) is (1, 2, 5) / 8; sigmoid of ln 3 is 3 / 4
    np.testing.assert_allclose(
        probabilities([[0, math.log(2), math.log(5)]], multi_label=False), [[0.125, 0.25, 0.625]]
    )
    np.testing.assert_allclose(probabilities([[math.log(3)]], multi_label=True), [[0.75]])


def test_single_label_answers_with_the_best() -> None:
    (answer,) = classify([[0.0, 2.0, 1.0]], LABELS, truncated=[True])
    assert (answer.label, answer.labels, answer.truncated) == ("b", ("b",), True)
    assert [one.label for one in answer.top] == ["b"]
    assert len(answer.scores) == 3


def test_the_earlier_of_equal_labels_comes_first() -> None:
    for top_k in (None, 1, 3):
        (answer,) = classify([[1.0, 1.0, 1.0]], LABELS, top_k=top_k)
        assert answer.label == answer.top[0].label == "a"
    many = [str(i) for i in range(100)]  # so many that an unstable sort shows
    (answer,) = classify([[1.0, 0.0] * 50], many, top_k=100)
    assert [one.label for one in answer.top] == many[::2] + many[1::2]


def test_labels_too_sure_to_tell_apart_by_probability_are_ordered_by_logit() -> None:
    (answer,) = classify([[50.0, 60.0, -1.0]], LABELS, multi_label=True)
    assert answer.scores[:2] == (1.0, 1.0)
    assert answer.labels == ("b", "a")


def test_multi_label_may_give_none_and_still_names_the_best() -> None:
    (answer,) = classify([[-3.0, -1.0, -2.0]], LABELS, multi_label=True)
    assert answer.labels == answer.top == ()
    assert answer.label == "b"
    assert answer.score == pytest.approx(1 / (1 + math.e))


def test_a_threshold_is_reached_by_its_own_value() -> None:
    (answer,) = classify([[0.0, -0.1, 0.1]], LABELS, multi_label=True, thresholds=0.5)
    assert set(answer.labels) == {"a", "c"}


@pytest.mark.parametrize(
    ("thresholds", "expected"),
    [
        (None, [0.1, 0.2, 0.3]),
        (0.7, [0.7, 0.7, 0.7]),
        ([0, 0.5, 1], [0, 0.5, 1]),
        (np.array([0, 0.5, 1]), [0, 0.5, 1]),
        ({"b": 0.9}, [0.1, 0.9, 0.3]),
    ],
)
def test_thresholds_come_in_every_form(thresholds: Any, expected: list[float]) -> None:
    np.testing.assert_array_equal(resolve_thresholds(thresholds, LABELS, (0.1, 0.2, 0.3)), expected)


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        (1.5, "between 0 and 1, got 1.5"),
        (float("nan"), "between 0 and 1"),
        ([0.5], "got 1 numbers for 3 labels"),
        ({"d": 0.5}, "no label 'd'"),
        ({"lights": 0.5}, "no label 'lights'"),
        ("high", "got 4 numbers for 3 labels"),
        ("abc", "a threshold is a number between 0 and 1, got 'a'"),
        (True, "a threshold is a number between 0 and 1, got True"),
    ],
)
def test_thresholds_that_make_no_sense_are_refused(thresholds: Any, message: str) -> None:
    with pytest.raises(ft.InputError, match=message):
        classify([[1.0, 2.0, 3.0]], LABELS, multi_label=True, thresholds=thresholds)


def test_the_nearest_label_is_named() -> None:
    with pytest.raises(ft.InputError, match="did you mean 'lights_off'"):
        resolve_thresholds({"light_off": 0.5}, ["lights_off", "music"])


@pytest.mark.parametrize("top_k", [0, -1, 1.5, True, "2"])
def test_top_k_that_makes_no_sense_is_refused(top_k: Any) -> None:
    with pytest.raises(ft.InputError, match="top_k must be"):
        classify([[1.0, 2.0, 3.0]], LABELS, top_k=top_k)


def test_an_answer_that_is_not_a_number_is_an_error_and_names_the_row() -> None:
    for logit in (float("nan"), float("inf")):
        with pytest.raises(ft.BundleError, match="output for text 1 is not a finite number"):
            classify([[1.0, 2.0, 3.0], [1.0, logit, 3.0]], LABELS)


def test_json_holds_what_predict_prints() -> None:
    (answer,) = classify([[0.0, math.log(3)]], ("no", "yes"))
    printed = answer.to_json("really?")
    assert list(printed) == ["text", "label", "score", "labels", "top", "truncated"]
    assert printed["top"] == [{"label": "yes", "score": pytest.approx(0.75)}]
