"""A classifier's answers as sums, from which its metrics on any part of the examples follow."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from ftool.evaluation.metrics.calibration import confidence_bins
from ftool.evaluation.metrics.classification import main_metric, number_metrics
from ftool.evaluation.per_example import Floats, RepeatedOutcomes, SummedOutcomes
from ftool_runtime.models.classifier import probabilities, resolve_thresholds


def classification_outcomes(
    logits: NDArray[np.float32],
    targets: NDArray[Any],
    *,
    multi_label: bool,
    thresholds: Sequence[float] | None = None,
) -> SummedOutcomes:
    """The metrics that `classification_metrics` has, of any part of the examples; arguments as there.

    One thing differs: F1 is averaged over the labels that a part has, or that the model answers there, for a slice
    without some label would else be marked down for it.
    """
    build = _several_labels if multi_label else _one_label
    return build(logits, targets, thresholds)


def number_outcomes(logits: NDArray[np.float32], targets: NDArray[Any]) -> RepeatedOutcomes:
    """The metrics of answers that are numbers, of any part of the examples."""
    answers = logits[:, 0]
    return RepeatedOutcomes(
        len(targets),
        lambda positions: number_metrics(answers[positions], targets[positions]),
        main=main_metric(multi_label=False, regression=True),
    )


def _one_label(logits: NDArray[np.float32], targets: NDArray[Any], _: Any) -> SummedOutcomes:
    answers = logits.argmax(axis=1)
    right = answers == targets
    width = logits.shape[1]
    wanted, given = _one_hot(targets, width), _one_hot(answers, width)
    confidence = probabilities(logits, multi_label=False).max(axis=1)
    parts = {
        "right": right,
        **_counts("", wanted, given),
        "calibration": confidence_bins(confidence[:, None], right[:, None]),
    }

    def formula(totals: Mapping[str, Floats]) -> Mapping[str, Floats]:
        examples = totals["examples"][:, 0]
        return {
            "accuracy": totals["right"][:, 0] / examples,
            "f1_macro": _macro(totals, ""),
            "f1_weighted": _weighted(totals, ""),
            "expected_calibration_error": np.abs(totals["calibration"]).sum(axis=1) / examples,
        }

    return SummedOutcomes(parts, formula, main=main_metric(multi_label=False), shares=("accuracy",))


def _several_labels(
    logits: NDArray[np.float32], targets: NDArray[Any], thresholds: Sequence[float] | None
) -> SummedOutcomes:
    width = logits.shape[1]
    scores = probabilities(logits, multi_label=True)
    wanted = csr_array(targets > 0, dtype=np.float64)
    given = scores >= resolve_thresholds(thresholds, [""] * width)
    at_half = scores >= 0.5
    parts = {
        "right": (given == (targets > 0)).all(axis=1),
        **_counts("", wanted, csr_array(given, dtype=np.float64)),
        **_counts("half ", wanted, csr_array(at_half, dtype=np.float64)),
        "calibration": confidence_bins(np.maximum(scores, 1 - scores), at_half == (targets > 0)),
    }

    def formula(totals: Mapping[str, Floats]) -> Mapping[str, Floats]:
        examples = totals["examples"][:, 0]
        return {
            "f1_macro": _macro(totals, ""),
            "f1_micro": 2 * totals["hits"].sum(axis=1) / (totals["wanted"] + totals["given"]).sum(axis=1),
            "f1_weighted": _weighted(totals, ""),
            "f1_macro_at_half": _macro(totals, "half "),
            "subset_accuracy": totals["right"][:, 0] / examples,
            "expected_calibration_error": np.abs(totals["calibration"]).sum(axis=1) / examples / width,
        }

    return SummedOutcomes(parts, formula, main=main_metric(multi_label=True), shares=("subset_accuracy",))


def _counts(prefix: str, wanted: Any, given: Any) -> dict[str, Any]:
    """0 and 1 (examples, labels) each: labels that are right, that are answered, and both."""
    return {
        f"{prefix}wanted": wanted,
        f"{prefix}given": given,
        f"{prefix}hits": csr_array(wanted.multiply(given)),
    }


def _f1(totals: Mapping[str, Floats], prefix: str) -> Floats:
    """(samples, labels); nan for a label that a sample neither has nor is answered."""
    return 2 * totals[f"{prefix}hits"] / (totals[f"{prefix}wanted"] + totals[f"{prefix}given"])


def _macro(totals: Mapping[str, Floats], prefix: str) -> Floats:
    f1 = _f1(totals, prefix)
    return np.asarray(np.nansum(f1, axis=1) / (~np.isnan(f1)).sum(axis=1))


def _weighted(totals: Mapping[str, Floats], prefix: str) -> Floats:
    support = totals[f"{prefix}wanted"]
    return np.asarray(np.nansum(_f1(totals, prefix) * support, axis=1) / support.sum(axis=1))


def _one_hot(labels: NDArray[Any], width: int) -> Any:
    rows = np.arange(len(labels))
    return csr_array((np.ones(len(labels)), (rows, labels)), shape=(len(labels), width))
