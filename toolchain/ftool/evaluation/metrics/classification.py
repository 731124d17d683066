"""Compute metrics of text classifiers and regressors from logits, for all examples or as per-example statistics."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.stats import rankdata
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from ftool.errors import TrainingError
from ftool.evaluation.confidence_intervals import finite
from ftool.evaluation.metrics.calibration import confidence_bins, expected_calibration_error
from ftool.evaluation.results import OF, Metrics
from ftool.evaluation.statistics import Floats, RecomputedStatistics, SummedStatistics
from ftool_runtime.postprocessing.classification import probabilities, resolve_thresholds

Limits = (
    Sequence[float] | NDArray[np.float64]
)  # each label's threshold, or (examples, labels) each example's own

_MAIN: Final[Mapping[str, tuple[str, ...]]] = {  # the first is the default
    "numbers": ("spearman", "pearson"),
    "texts with several labels": ("f1_macro", "f1_micro", "f1_weighted", "subset_accuracy"),
    "texts with one label": ("accuracy", "f1_macro", "f1_weighted"),
}


def main_metric(*, multi_label: bool, regression: bool = False, requested: str | None = None) -> str:
    """Return the name of the main metric, which selects weights in training and decides whether a bundle is accepted.

    `requested` is train.metric; None stands for the default of the kind of data. Raises TrainingError if data of this
    kind does not have the metric `requested`.
    """
    kind = "numbers" if regression else "texts with several labels" if multi_label else "texts with one label"
    allowed = _MAIN[kind]
    if requested is not None and requested not in allowed:
        raise TrainingError(
            f"train.metric is {requested!r}, which {kind} do not have; use {' or '.join(allowed)}, or leave it out"
        )
    return requested or allowed[0]


def classification_metrics(
    logits: NDArray[np.float32],
    targets: NDArray[Any],
    labels: Sequence[str],
    *,
    multi_label: bool,
    regression: bool = False,
    thresholds: Sequence[float] | None = None,
) -> Metrics:
    """Return all metrics of `logits`, float (examples, labels).

    `targets` is int (examples,) for one label per text, 0 and 1 (examples, labels) for multi-label data, and float
    (examples, outputs) for regression, whose metrics are those of `number_metrics`, with None for nan. F1 is averaged
    over the labels that occur in the targets or the answers. Metrics are fractions from 0 to 1; supports and the
    confusion matrix (one row for each true label) count examples.
    """
    if regression:
        return _finite(number_metrics(logits, targets, labels))
    if multi_label:
        return _several_labels(logits, targets, labels, thresholds)
    return _one_label(logits, targets, labels)


def number_metrics(
    answers: NDArray[np.floating], targets: NDArray[Any], names: Sequence[str] = ()
) -> dict[str, float]:
    """Return Spearman's and Pearson's correlation, -1 to 1, and the mean squared error of a regressor's answers.

    Both arrays are (examples, outputs). Several outputs have `names`: the metrics of each output are under keys such as
    "spearman:NAME", and "spearman" is the mean over the outputs whose targets differ.

    The correlations are nan if they are undefined: for one example, or if either array is constant. In the mean, an
    output whose answers are constant has the correlation 0.
    """
    gaps = answers.astype(np.float64) - targets
    each = [
        {**correlations(ours, theirs), "mse": float((gap**2).mean())}
        for ours, theirs, gap in zip(answers.T, targets.T, gaps.T, strict=True)
    ]
    if not names:
        return each[0]
    defined = np.ptp(targets, axis=0) > 0
    found = {}
    for metric in each[0]:
        values = np.array([one[metric] for one in each])
        if metric != "mse":
            values = np.nan_to_num(values)[defined]
        found[metric] = float(values.mean()) if len(values) else np.nan
    return found | {
        f"{metric}{OF}{name}": value
        for name, one in zip(names, each, strict=True)
        for metric, value in one.items()
    }


def correlations(answers: NDArray[np.floating], targets: Sequence[float] | NDArray[Any]) -> dict[str, float]:
    """Return Spearman's and Pearson's correlation, -1 to 1, of two equally long arrays.

    Both are nan if they are undefined: for one example, or if either array is constant.
    """
    both = np.array([answers, targets], dtype=np.float64)  # (2, examples)
    if len(targets) < 2 or (np.ptp(both, axis=1) == 0).any():
        return {"spearman": np.nan, "pearson": np.nan}
    # scipy's spearmanr and pearsonr would also compute p-values, which takes ten times as long
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
    thresholds: Limits | None = None,
    metric: str | None = None,
) -> float:
    """Return only the main metric of `logits`, or `metric`; nan if it is undefined.

    The other arguments are the same as those of `classification_metrics`; `thresholds` may also be an array (examples,
    labels), which has each example's own.
    """
    name = main_metric(multi_label=multi_label, regression=regression, requested=metric)
    if regression:
        several = [str(place) for place in range(logits.shape[1])] if logits.shape[1] > 1 else ()
        return number_metrics(logits, targets, several)[name]
    answers = _applying(logits, thresholds) if multi_label else logits.argmax(axis=1)
    if name == "accuracy":
        return float((answers == targets).mean())
    if name == "subset_accuracy":
        return float((answers == targets).all(axis=1).mean())
    return _f1(targets, answers, (name.removeprefix("f1_"),))[name]


def answer_confidence(
    logits: NDArray[np.float32], targets: NDArray[Any], *, multi_label: bool
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the probability of each answer, float64, and whether it is right, bool, both (examples, answers).

    An answer is the most probable label; of multi-label models there is one for each label: whether it applies, at a
    threshold of 0.5. The arguments are those of `classification_metrics`.
    """
    scores = probabilities(logits, multi_label=multi_label)
    if multi_label:
        return np.maximum(scores, 1 - scores), (scores >= 0.5) == (targets > 0)
    return scores.max(axis=1)[:, None], (logits.argmax(axis=1) == targets)[:, None]


def classification_statistics(
    logits: NDArray[np.float32],
    targets: NDArray[Any],
    *,
    multi_label: bool,
    thresholds: Limits | None = None,
) -> SummedStatistics:
    """Return statistics from which the metrics of any subset of the examples can be computed.

    The arguments are the same as those of `main_score`.

    F1 is averaged over the labels that occur in the subset or in the model's answers to it: otherwise a slice that
    lacks some label would score lower.
    """
    build = _several_labels_statistics if multi_label else _one_label_statistics
    return build(logits, targets, thresholds)


def number_statistics(
    logits: NDArray[np.float32], targets: NDArray[Any], names: Sequence[str] = ()
) -> RecomputedStatistics:
    """Return statistics from which `number_metrics` of any subset of the examples can be computed.

    The arguments are those of `number_metrics`.
    """
    return RecomputedStatistics(
        len(targets),
        lambda positions: number_metrics(logits[positions], targets[positions], names),
        main=main_metric(multi_label=False, regression=True),
    )


def _one_label(logits: NDArray[np.float32], targets: NDArray[Any], labels: Sequence[str]) -> Metrics:
    answers = logits.argmax(axis=1)
    confidence, correct = answer_confidence(logits, targets, multi_label=False)
    every = list(range(len(labels)))
    return {
        "accuracy": float((answers == targets).mean()),
        **_finite(_f1(targets, answers, ("macro", "weighted"))),
        "expected_calibration_error": expected_calibration_error(confidence[:, 0], correct[:, 0]),
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
    answers = _applying(logits, thresholds)
    confidence, agreed = answer_confidence(logits, targets, multi_label=True)
    return {
        **_finite(_f1(targets, answers, ("macro", "micro", "weighted"))),
        "f1_macro_at_half": finite(main_score(logits, targets, multi_label=True)),
        "subset_accuracy": float((answers == targets).all(axis=1).mean()),
        "expected_calibration_error": expected_calibration_error(confidence.ravel(), agreed.ravel()),
        "per_class": _per_class(targets, answers, labels),
        "labels": list(labels),
    }


def _applying(logits: NDArray[np.float32], thresholds: Limits | None) -> NDArray[np.int64]:
    return (probabilities(logits, multi_label=True) >= _limits(thresholds, logits)).astype(np.int64)


def _limits(thresholds: Limits | None, logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the probability from which each label applies, float64 (labels,) or (examples, labels)."""
    if np.ndim(thresholds) == 2:  # type: ignore[arg-type]
        return np.asarray(thresholds, dtype=np.float64)
    return resolve_thresholds(thresholds, [""] * logits.shape[1])


def _finite(values: Mapping[str, float]) -> Metrics:
    return {name: finite(value) for name, value in values.items()}


def _f1(targets: NDArray[Any], answers: NDArray[Any], averages: Sequence[str]) -> dict[str, float]:
    """Return averages of the F1 of the labels that occur in the targets or the answers; nan if none does."""
    if targets.ndim == 2:
        wanted, given = (np.asarray(one > 0).sum(axis=0) for one in (targets, answers))
        hits = np.asarray((targets > 0) & (answers > 0)).sum(axis=0)
    else:
        most = int(max(targets.max(initial=0), answers.max(initial=0))) + 1
        wanted, given, hits = (
            np.bincount(one, minlength=most) for one in (targets, answers, targets[targets == answers])
        )
    with np.errstate(invalid="ignore", divide="ignore"):
        each = 2 * hits / (wanted + given)
        found = {
            "macro": np.nansum(each) / np.isfinite(each).sum(),
            "micro": 2 * hits.sum() / (wanted.sum() + given.sum()),
            "weighted": np.nansum(each * wanted) / wanted.sum(),
        }
    return {f"f1_{average}": float(found[average]) for average in averages}


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


def _one_label_statistics(logits: NDArray[np.float32], targets: NDArray[Any], _: Any) -> SummedStatistics:
    answers = logits.argmax(axis=1)
    right = answers == targets
    width = logits.shape[1]
    wanted, given = _one_hot(targets, width), _one_hot(answers, width)
    parts = {
        "right": right,
        **_counts("", wanted, given),
        "calibration": confidence_bins(*answer_confidence(logits, targets, multi_label=False)),
    }

    def formula(totals: Mapping[str, Floats]) -> Mapping[str, Floats]:
        examples = totals["examples"][:, 0]
        return {
            "accuracy": totals["right"][:, 0] / examples,
            "f1_macro": _macro(totals, ""),
            "f1_weighted": _weighted(totals, ""),
            "expected_calibration_error": np.abs(totals["calibration"]).sum(axis=1) / examples,
        }

    return SummedStatistics(parts, formula, main=main_metric(multi_label=False), shares=("accuracy",))


def _several_labels_statistics(
    logits: NDArray[np.float32], targets: NDArray[Any], thresholds: Limits | None
) -> SummedStatistics:
    width = logits.shape[1]
    scores = probabilities(logits, multi_label=True)
    wanted = csr_array(targets > 0, dtype=np.float64)
    given = scores >= _limits(thresholds, logits)
    at_half = scores >= 0.5
    parts = {
        "right": (given == (targets > 0)).all(axis=1),
        **_counts("", wanted, csr_array(given, dtype=np.float64)),
        **_counts("half ", wanted, csr_array(at_half, dtype=np.float64)),
        "calibration": confidence_bins(*answer_confidence(logits, targets, multi_label=True)),
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

    return SummedStatistics(parts, formula, main=main_metric(multi_label=True), shares=("subset_accuracy",))


def _counts(prefix: str, wanted: Any, given: Any) -> dict[str, Any]:
    """Return three 0/1 arrays (examples, labels): true labels, predicted labels, and correctly predicted labels."""
    return {
        f"{prefix}wanted": wanted,
        f"{prefix}given": given,
        f"{prefix}hits": csr_array(wanted.multiply(given)),
    }


def _f1_of(totals: Mapping[str, Floats], prefix: str) -> Floats:
    """Return the F1 of each label, (samples, labels); nan if a label is neither true nor predicted in a sample."""
    return 2 * totals[f"{prefix}hits"] / (totals[f"{prefix}wanted"] + totals[f"{prefix}given"])


def _macro(totals: Mapping[str, Floats], prefix: str) -> Floats:
    f1 = _f1_of(totals, prefix)
    return np.asarray(np.nansum(f1, axis=1) / (~np.isnan(f1)).sum(axis=1))


def _weighted(totals: Mapping[str, Floats], prefix: str) -> Floats:
    support = totals[f"{prefix}wanted"]
    return np.asarray(np.nansum(_f1_of(totals, prefix) * support, axis=1) / support.sum(axis=1))


def _one_hot(labels: NDArray[Any], width: int) -> Any:
    rows = np.arange(len(labels))
    return csr_array((np.ones(len(labels)), (rows, labels)), shape=(len(labels), width))
