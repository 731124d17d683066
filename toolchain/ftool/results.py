"""What training and evaluation hand back: plain JSON for metrics.json, and a table for people."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ftool.tables import format_table

Metrics = dict[str, Any]  # plain JSON

_WORST_SHOWN = 5  # labels that a table names
_NAMES = {
    "accuracy": "accuracy",
    "subset_accuracy": "all labels right",
    "f1_macro": "F1, macro",
    "f1_micro": "F1, micro",
    "f1_weighted": "F1, weighted",
    "expected_calibration_error": "calibration error",
}


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One split's metrics, of run/ or of a bundle."""

    task: str
    on: Literal["run", "bundle"]
    split: str
    examples: int
    metrics: Metrics

    def to_json(self) -> dict[str, Any]:
        """The evaluation as plain JSON."""
        return {
            "task": self.task,
            "on": self.on,
            "split": self.split,
            "examples": self.examples,
            "metrics": self.metrics,
        }

    def table(self) -> str:
        """The metrics, and the labels that do worst, for a person."""
        return _metrics_table({self.split: self}) + "\n\n" + _worst_labels(self)


@dataclass(frozen=True, kw_only=True)
class TrainReport:
    """What training made. `training` holds how: losses, times, memory, which weights were kept; plain JSON."""

    test: Evaluation
    validation: Evaluation
    training: Mapping[str, Any]
    recipe: Mapping[str, Any]
    data: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON; the test split's metrics come first."""
        return {
            **self.test.to_json(),
            "validation": self.validation.to_json(),
            "training": dict(self.training),
            "data": dict(self.data),
            "recipe": dict(self.recipe),
        }

    def table(self) -> str:
        """Metrics of both splits, the labels that do worst on test, and what the run took, for a person."""
        both = _metrics_table({"validation": self.validation, "test": self.test})
        return "\n\n".join([both, _worst_labels(self.test), self._effort()])

    def _effort(self) -> str:
        kept, seconds, memory = (self.training[name] for name in ("kept", "seconds", "peak_memory_mb"))
        speed = self.training["examples_per_second"]
        return f"kept {kept}; {seconds:.0f} s, {speed:.0f} examples/s, {memory:.0f} MB at the peak"


def _metrics_table(evaluations: Mapping[str, Evaluation]) -> str:
    rows = [["", *evaluations]]
    rows += [
        [text, *(f"{evaluation.metrics[name]:.4f}" for evaluation in evaluations.values())]
        for name, text in _NAMES.items()
        if all(name in evaluation.metrics for evaluation in evaluations.values())
    ]
    rows.append(["examples", *(str(evaluation.examples) for evaluation in evaluations.values())])
    return format_table(rows)


def _worst_labels(evaluation: Evaluation) -> str:
    judged = [(label, row) for label, row in evaluation.metrics["per_class"].items() if row["support"]]
    judged.sort(key=lambda entry: entry[1]["f1"])
    rows = [[f"hardest on {evaluation.split}", "precision", "recall", "F1", "examples"]]
    rows += [
        [label, *(f"{row[name]:.2f}" for name in ("precision", "recall", "f1")), str(row["support"])]
        for label, row in judged[:_WORST_SHOWN]
    ]
    return format_table(rows)
