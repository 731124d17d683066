"""What a text classifier is judged by, from its logits alone: the same for run/ in torch and for a bundle."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support

from ftool.evaluation.metrics.calibration import expected_calibration_error
from ftool.evaluation.results import Metrics
from ftool_runtime.models.classifier import probabilities, resolve_thresholds


def main_metric(*, multi_label: bool, regression: bool = False) -> str:
    """The name of the metric that decides: between checkpoints, penalties and bundles."""
    if regression:
        return "spearman"
    return "f1_macro" if multi_label else "accuracy"


def classification_metrics(
    logits: NDArray[np.float32],
    targets: NDArray[Any],
    labels: Sequence[str],
    *,
    multi_label: bool,
    regression: bool = False,
    thresholds: Sequence[float] | None = None,
) -> Metrics:
    """All metrics of `logits`, float (examples, labels); of numbers to meet, `targets` float (examples,), see below.

    `targets` is int (examples,), or 0 and 1 (examples, labels) where a text has several labels. Everything is
    a fraction from 0 to 1 but supports and the confusion matrix (a row for each true label): they count examples.
    """
    if regression:
        return number_metrics(logits[:, 0], targets)
    if multi_label:
        return _several_labels(logits, targets, labels, thresholds)
    return _one_label(logits, targets, labels)


def number_metrics(answers: NDArray[np.floating], targets: NDArray[Any]) -> Metrics:
    """Spearman's and Pearson's correlation, -1 to 1, and the mean squared error of two lists of numbers."""
    gap = answers.astype(np.float64) - targets
    return {**correlations(answers, targets), "mse": float((gap**2).mean())}


def correlations(answers: NDArray[np.floating], targets: Sequence[float] | NDArray[Any]) -> Metrics:
    """Spearman's and Pearson's correlation of two lists, and of constant ones 0."""
    both = np.array([answers, targets], dtype=np.float64)  # (2, examples)
    if len(targets) < 2 or (np.ptp(both, axis=1) == 0).any():
        return {"spearman": 0.0, "pearson": 0.0}
    # of scipy the ranks alone: spearmanr and pearsonr add p-values, which take ten times as long
    return {
        "spearman": float(np.asarray(np.corrcoef(rankdata(both, axis=1)))[0, 1]),
        "pearson": float(np.asarray(np.corrcoef(both))[0, 1]),
    }


def main_score(
    logits: NDArray[np.float32],
    targets: NDArray[Any],
    *,
    multi_label: bool,
    regression: bool = False,
    thresholds: Sequence[float] | None = None,
) -> float:
    """The main metric alone, as `classification_metrics` gives it."""
    if regression:
        return float(number_metrics(logits[:, 0], targets)["spearman"])
    if not multi_label:
        return float((logits.argmax(axis=1) == targets).mean())
    answers = _applying(logits, thresholds)
    return float(f1_score(targets, answers, average="macro", zero_division=0))


def _one_label(logits: NDArray[np.float32], targets: NDArray[Any], labels: Sequence[str]) -> Metrics:
    answers = logits.argmax(axis=1)
    confidence = probabilities(logits, multi_label=False).max(axis=1)
    every = list(range(len(labels)))
    return {
        "accuracy": float((answers == targets).mean()),
        **_f1(targets, answers, ("macro", "weighted"), every),
        "expected_calibration_error": expected_calibration_error(confidence, answers == targets),
        "per_class": _per_class(targets, answers, labels),
        "labels": list(labels),
        "confusion_matrix": confusion_matrix(targets, answers, labels=every).tolist(),
    }


def _several_labels(
    logits: NDArray[np.float32],
    targets: NDArray[Any],
    labels: Sequence[str],
    thresholds: Sequence[float] | None,
) -> Metrics:
    scores = probabilities(logits, multi_label=True)
    answers = _applying(logits, thresholds)
    confidence = np.maximum(scores, 1 - scores).ravel()
    agreed = ((scores >= 0.5) == (targets > 0)).ravel()
    return {
        **_f1(targets, answers, ("macro", "micro", "weighted"), list(range(len(labels)))),
        "f1_macro_at_half": main_score(logits, targets, multi_label=True),
        "subset_accuracy": float((answers == targets).all(axis=1).mean()),
        "expected_calibration_error": expected_calibration_error(confidence, agreed),
        "per_class": _per_class(targets, answers, labels),
        "labels": list(labels),
    }


def _applying(logits: NDArray[np.float32], thresholds: Sequence[float] | None) -> NDArray[np.int64]:
    limits = resolve_thresholds(thresholds, [""] * logits.shape[1])
    return (probabilities(logits, multi_label=True) >= limits).astype(np.int64)


def _f1(
    targets: NDArray[Any], answers: NDArray[Any], averages: Sequence[str], every: list[int]
) -> dict[str, float]:
    return {
        f"f1_{average}": float(f1_score(targets, answers, labels=every, average=average, zero_division=0))
        for average in averages
    }


def _per_class(
    targets: NDArray[Any], answers: NDArray[Any], labels: Sequence[str]
) -> dict[str, dict[str, float]]:
    columns = precision_recall_fscore_support(
        targets, answers, labels=list(range(len(labels))), average=None, zero_division=0
    )
    return {
        label: {
            "precision": float(columns[0][index]),
            "recall": float(columns[1][index]),
            "f1": float(columns[2][index]),
            "support": int(columns[3][index]),
        }
        for index, label in enumerate(labels)
    }
