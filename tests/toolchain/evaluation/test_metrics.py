"""Classification metrics and calibration: compared with values computed by hand and with known properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ftool.evaluation.metrics.calibration import expected_calibration_error, tune_thresholds
from ftool.evaluation.metrics.classification import classification_metrics, main_metric, main_score

LABELS = ("a", "b", "c")
# Answers a a b c, truth a b b a: of a one of two answers is right and one of two examples found, and so on.
LOGITS = np.array([[5, 0, 0], [5, 0, 0], [0, 5, 0], [0, 0, 5]], dtype=np.float32)
TARGETS = np.array([0, 1, 1, 0])


def test_single_label_metrics_are_those_worked_out_by_hand() -> None:
    metrics = classification_metrics(LOGITS, TARGETS, LABELS, multi_label=False)
    assert metrics["accuracy"] == 0.5
    assert metrics["per_class"]["a"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2}
    assert metrics["per_class"]["b"]["f1"] == pytest.approx(2 / 3)  # precision 1, recall 1/2
    assert metrics["per_class"]["c"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}
    assert metrics["f1_macro"] == pytest.approx((1 / 2 + 2 / 3 + 0) / 3)
    assert metrics["f1_weighted"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert metrics["confusion_matrix"] == [[1, 0, 1], [1, 1, 0], [0, 0, 0]]
    # Every answer has the same confidence, and half of them are right.
    confidence = np.exp(5) / (np.exp(5) + 2)
    assert metrics["expected_calibration_error"] == pytest.approx(confidence - 0.5, abs=1e-6)


def test_multi_label_metrics_are_those_worked_out_by_hand() -> None:
    logits = np.array([[3, 3, -3], [-3, 3, -3]], dtype=np.float32)
    targets = np.array([[1, 0, 0], [0, 1, 0]])
    metrics = classification_metrics(logits, targets, LABELS, multi_label=True)
    assert metrics["f1_macro"] == pytest.approx((1 + 2 / 3) / 2)  # no text has c, and none is given c
    assert metrics["f1_micro"] == pytest.approx(2 * 2 / (3 + 2))  # 3 labels given, 2 right, 2 true
    assert metrics["subset_accuracy"] == 0.5
    assert "confusion_matrix" not in metrics


def test_thresholds_decide_which_labels_apply() -> None:
    logits = np.array([[0.0, 0.0, 0.0]], dtype=np.float32)  # probability one half each
    targets = np.array([[1, 0, 1]])
    metrics = classification_metrics(logits, targets, LABELS, multi_label=True, thresholds=(0.4, 0.6, 0.5))
    assert metrics["subset_accuracy"] == 1.0


@pytest.mark.parametrize("multi_label", [False, True])
def test_the_main_score_is_the_main_metric(multi_label: bool) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(50, 3)).astype(np.float32)
    targets = rng.integers(0, 2, size=(50, 3)) if multi_label else rng.integers(0, 3, size=50)
    metrics = classification_metrics(logits, targets, LABELS, multi_label=multi_label)
    assert (
        main_score(logits, targets, multi_label=multi_label) == metrics[main_metric(multi_label=multi_label)]
    )


def test_calibration_error_is_zero_where_confidence_equals_accuracy() -> None:
    confidence = np.full(10, 0.7)
    assert expected_calibration_error(confidence, np.arange(10) < 7) == pytest.approx(0.0)
    assert expected_calibration_error(confidence, np.arange(10) < 2) == pytest.approx(0.5)
    assert expected_calibration_error(np.array([]), np.array([], dtype=bool)) == 0.0


def test_confidence_of_one_falls_into_the_last_bin() -> None:
    assert expected_calibration_error(np.array([1.0]), np.array([True])) == 0.0


def _f1(answers: np.ndarray, targets: np.ndarray) -> float:
    hits = (answers & targets).sum()
    return float(2 * hits / max(1, answers.sum() + targets.sum()))


@given(st.data())
def test_no_threshold_has_a_higher_f1_than_the_tuned_one(data: st.DataObject) -> None:
    # A coarse grid, so that equal scores are common.
    scores = data.draw(arrays.arrays(np.float64, 12, elements=st.sampled_from([0.1, 0.2, 0.5, 0.8, 0.9])))
    targets = data.draw(arrays.arrays(np.bool_, 12))
    (tuned,) = tune_thresholds(scores[:, None], targets[:, None])
    assert 0.0 <= tuned <= 1.0
    best = max(_f1(scores >= threshold, targets) for threshold in (0.0, 0.15, 0.3, 0.6, 0.85, 1.0))
    assert _f1(scores >= tuned, targets) == pytest.approx(best)


def test_a_label_without_positives_keeps_the_default_threshold() -> None:
    assert tune_thresholds(np.array([[0.9], [0.1]]), np.array([[False], [False]])) == (0.5,)
