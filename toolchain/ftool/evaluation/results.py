"""Results of training and evaluation, as plain JSON for metrics.json and as tables to print."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np

from ftool.data.table import Table
from ftool.evaluation.baselines import BaselineReport
from ftool.evaluation.confidence_intervals import Estimate, every_estimate, metrics_of
from ftool.evaluation.metrics.calibration import Reliability
from ftool.evaluation.mistakes import Mistakes, WrongAnswers
from ftool.evaluation.slices import SliceReport, slices_text
from ftool.evaluation.statistics import Statistics
from ftool.terminal import format_table

Metrics = dict[str, Any]  # plain JSON

OF: Final = ":"  # between a metric's name and the name of the output that it measures
_WORST_SHOWN = 5  # labels in the table of a classifier's hardest labels
_SHOWN_CHARACTERS = 160  # longest text of a source or answer in a table, in characters
METRIC_NAMES = {
    "accuracy": "accuracy",
    "subset_accuracy": "all labels right",
    "f1_macro": "F1, macro",
    "f1_micro": "F1, micro",
    "f1_weighted": "F1, weighted",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "has_answer_f1": "F1, answerable",
    "no_answer_f1": "F1, unanswerable",
    "best_f1": "F1 at these questions' best threshold",
    "span_f1": "F1 of the best span, answerable",
    "expected_calibration_error": "calibration error",
    "none_auroc": "none of these, AUROC",
    "accuracy_with_none": "accuracy with none of these",
    "accuracy_in_scope": "accuracy, texts with a label",
    "none_recall": "none of these, found",
    "none_below": "none of these, below the probability",
    "bleu": "BLEU",
    "chrf": "chrF++",
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "rougeL": "ROUGE-L",
    "rougeLsum": "ROUGE-Lsum",
    "exact_match": "exact match",
    "answer_accuracy": "final number right",
    "length_ratio": "length, answer / reference",
    "token_accuracy": "next token right",
    "perplexity": "perplexity",
    "mrr_at_10": "MRR@10",
    "ndcg_at_10": "NDCG@10",
    "recall_at_1": "recall@1",
    "recall_at_5": "recall@5",
    "recall_at_10": "recall@10",
    "hit_at_1": "any passage right@1",
    "hit_at_5": "any passage right@5",
    "hit_at_10": "any passage right@10",
    "triplet_accuracy": "positive nearer than negative",
    "spearman": "Spearman",
    "pearson": "Pearson",
    "mse": "mean squared error",
    "accuracy_hateful": "hateful texts found",
    "accuracy_non_hateful": "other texts left alone",
    "bias_ambiguous": "bias, ambiguous",
    "bias_disambiguated": "bias, disambiguated",
    "accuracy_ambiguous": "accuracy, ambiguous",
    "accuracy_disambiguated": "accuracy, disambiguated",
    "unknown": "answered unknown",
    "no_option": "answered no option",
}


@dataclass(frozen=True, kw_only=True)
class ShownAnswer:
    """One generated answer to print: the input, the answer and a reference. It is not written to any file."""

    given: str
    answer: str
    reference: str


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """Measurements of a model's answers to one split.

    Attributes:
        metrics: all metrics, as plain JSON.
        statistics: a function that computes per-example statistics, from which metrics of slices are computed; None if
            metrics can't be computed for slices.
        token_statistics: a function that computes statistics of the metrics of reference tokens, which `statistics`
            does not have; None if the task has no such metrics.
        predictions: a function that returns the model's answer and the correct answer for each example, as JSON values;
            None if the task has no predictions to write to a file.
        intervals: a function that computes the intervals of metrics that `statistics` does not have.
        mistakes: a function that finds the model's mistakes, given the names of the split and of the main metric (None
            for the default); None if the task has no such report.
        wrong: a function that returns wrong answers to read, given the split's name; None if `mistakes` has them.
        reliability: a function that compares the model's confidence with how often it is right; None if answers have no
            confidence.
        thresholds: the probability from which the model gives an answer, by the answer's name; empty if it has none.
        shown: a few generated answers to print.
    """

    metrics: Metrics
    statistics: Callable[[], Statistics] | None = None
    token_statistics: Callable[[], Statistics] | None = None
    predictions: Callable[[], Sequence[Mapping[str, Any]]] | None = None
    intervals: Callable[[], Mapping[str, Estimate]] = dict
    mistakes: Callable[[str, str | None], Mistakes] | None = None
    wrong: Callable[[str], WrongAnswers] | None = None
    reliability: Callable[[], Reliability] | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    shown: tuple[ShownAnswer, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The metrics of a model on one split, measured on its run/ or its bundle/."""

    task: str
    on: Literal["run", "bundle"]
    split: str
    examples: int
    metrics: Metrics
    shown: tuple[ShownAnswer, ...] = ()
    # For slices: a function that computes per-example statistics, and the table rows of the examples.
    statistics: Callable[[], Statistics] | None = field(default=None, compare=False, repr=False)
    token_statistics: Callable[[], Statistics] | None = field(default=None, compare=False, repr=False)
    rows: Table = field(default_factory=Table, compare=False, repr=False)
    # Returns the model's answer and the correct answer for each example, as JSON values; None if there are none.
    predictions: Callable[[], Sequence[Mapping[str, Any]]] | None = field(
        default=None, compare=False, repr=False
    )
    further_intervals: Callable[[], Mapping[str, Estimate]] = field(default=dict, compare=False, repr=False)
    find_mistakes: Callable[[], Mistakes] | None = field(default=None, compare=False, repr=False)
    find_wrong: Callable[[], WrongAnswers] | None = field(default=None, compare=False, repr=False)
    reliability: Callable[[], Reliability] | None = field(default=None, compare=False, repr=False)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    mistakes: Mistakes | None = None
    slices: tuple[SliceReport, ...] = ()
    # The model beside baselines; None if the task has none, or if they were never measured on these examples.
    baselines: BaselineReport | None = None

    def statistics_with(self, metric: str) -> Statistics | None:
        """Return the per-example statistics that have the metric `metric`; None if there are none."""
        for found in (self.statistics, self.token_statistics):
            if found is not None and len(one := found()) and metric in metrics_of(one, np.arange(len(one))):
                return one
        return None

    @cached_property
    def intervals(self) -> Mapping[str, Estimate]:
        """The 95% confidence interval of each metric that has one, by the metric's name."""
        if not self.examples:
            return {}
        own = {} if self.statistics is None else every_estimate(self.statistics())
        found = {**own, **self.further_intervals()}
        return {
            name: one
            for name, one in found.items()
            if self.metrics.get(name) is not None and np.isfinite([one.low, one.high]).all()
        }

    def to_json(self) -> dict[str, Any]:
        """Return the evaluation as plain JSON."""
        return {
            "task": self.task,
            "on": self.on,
            "split": self.split,
            "examples": self.examples,
            "metrics": self.metrics,
            "intervals": {name: {"low": one.low, "high": one.high} for name, one in self.intervals.items()},
            **({"slices": {one.column: one.to_json() for one in self.slices}} if self.slices else {}),
            **({"mistakes": self.mistakes.to_json()} if self.mistakes is not None else {}),
            **({"baselines": self.baselines.to_json()} if self.baselines is not None else {}),
        }

    def table(self) -> str:
        """Return, as text to print: metrics, the labels with the lowest F1 or a few answers, baselines and slices."""
        slices = [slices_text(one, METRIC_NAMES) for one in self.slices]
        found = self.mistakes
        mistakes = [] if found is None else [found.text(METRIC_NAMES[found.metric])]
        return "\n\n".join([_metrics_table({self.split: self}), *_details(self), *mistakes, *slices])


@dataclass(frozen=True, kw_only=True)
class TrainReport:
    """The result of training: evaluations of the model, and the recipe, data and training described in plain JSON."""

    test: Evaluation
    validation: Evaluation
    training: Mapping[str, Any]  # losses, times, memory, and which weights were kept
    recipe: Mapping[str, Any]
    data: Mapping[str, Any]
    # Evaluations by split, for splits other than train, validation and test.
    further: Mapping[str, Evaluation] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON; the test split's metrics come first."""
        return {
            **self.test.to_json(),
            "validation": self.validation.to_json(),
            **(
                {"further": {name: one.to_json() for name, one in self.further.items()}}
                if self.further
                else {}
            ),
            "training": dict(self.training),
            "data": dict(self.data),
            "recipe": dict(self.recipe),
        }

    def table(self) -> str:
        """Return as text: the metrics of all splits, the labels with the lowest F1 or a few answers, time, memory."""
        table = _metrics_table({"validation": self.validation, "test": self.test, **self.further})
        return "\n\n".join([table, *_details(self.test), self._effort()])

    def _effort(self) -> str:
        kept, seconds, memory = (self.training[name] for name in ("kept", "seconds", "peak_memory_mb"))
        speed = self.training["examples_per_second"]
        return f"kept {kept}; {seconds:.0f} s, {speed:.0f} examples/s, {memory:.0f} MB at the peak"


def _metrics_table(evaluations: Mapping[str, Evaluation]) -> str:
    """Return the metrics as a table, each with its interval in the column to the right."""
    every = evaluations.values()
    rows = [["", *(cell for name in evaluations for cell in (name, "95% interval"))]]
    known = dict.fromkeys(name for evaluation in every for name in evaluation.metrics)
    rows += [
        [text, *(cell for evaluation in every for cell in _figures(evaluation, name))]
        for name, text in (*METRIC_NAMES.items(), *_names_of_outputs(known).items())
        if name in known
    ]
    rows.append(["examples", *(cell for evaluation in every for cell in (str(evaluation.examples), ""))])
    return format_table(rows)


def _names_of_outputs(metrics: Iterable[str]) -> dict[str, str]:
    """Return a title for each metric that measures one of several outputs, such as "grammar, Spearman"."""
    found = {}
    for name in metrics:
        metric, separator, output = name.partition(OF)
        if separator and metric in METRIC_NAMES:
            found[name] = f"{output}, {METRIC_NAMES[metric]}"
    return found


def _figures(evaluation: Evaluation, name: str) -> tuple[str, str]:
    """Return a metric and its interval as text."""
    if name not in evaluation.metrics:
        return "", ""
    value, interval = evaluation.metrics[name], evaluation.intervals.get(name)
    return (
        "none" if value is None else f"{value:.4f}",
        "" if interval is None else f"{interval.low:.4f} to {interval.high:.4f}",
    )


def _details(evaluation: Evaluation) -> list[str]:
    """Return what to print below the metrics: the labels with the lowest F1 or a few answers, and the baselines."""
    baselines = evaluation.baselines
    compared = [] if baselines is None else [baselines.table(METRIC_NAMES[baselines.metric])]
    if "per_class" in evaluation.metrics:
        return [*_worst_labels(evaluation), *compared]
    return compared + [
        f"{_one_line(shown.given)}\n  -> {_one_line(shown.answer)}\n  (right: {_one_line(shown.reference)})"
        for shown in evaluation.shown
    ]


def _one_line(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def _worst_labels(evaluation: Evaluation) -> list[str]:
    """Return the table of the labels with the lowest F1; nothing if all labels have an F1 of 1."""
    ranked = [
        (label, row)
        for label, row in evaluation.metrics["per_class"].items()
        if row["support"] and row["f1"] < 1
    ]
    if not ranked:
        return []
    ranked.sort(key=lambda entry: entry[1]["f1"])
    rows = [[f"hardest on {evaluation.split}", "precision", "recall", "F1", "examples"]]
    rows += [
        [label, *(f"{row[name]:.2f}" for name in ("precision", "recall", "f1")), str(row["support"])]
        for label, row in ranked[:_WORST_SHOWN]
    ]
    return [format_table(rows)]
