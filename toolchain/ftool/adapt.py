"""Teach a trained classifier one example, unless the main metric on the validation split falls too much."""

import difflib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from ftool.data.dataset import Split
from ftool.data.load import split_for_model
from ftool.data.rows.labels import LabelledText
from ftool.evaluation.evaluate import measure_split, stored_baselines
from ftool.evaluation.metrics.classification import main_metric
from ftool.evaluation.open_model import open_run
from ftool.evaluation.results import Evaluation
from ftool.recipe.recipe import Recipe
from ftool.recipe.sections import given
from ftool.tasks.base import listed
from ftool.tasks.registry import find_task, task_names
from ftool.training.head.features import cached_features
from ftool.training.head.teach import Lesson, teach_head
from ftool.training.runs import locked, write_metrics
from ftool.workspace import METRICS_FILE, ModelFolder, read_metrics
from ftool_export.checkpoints.classifier import (
    LoadedClassifier,
    compute_features,
    load_classifier,
)
from ftool_runtime.errors import InputError
from ftool_runtime.folder_swap import replacing_folder
from ftool_runtime.postprocessing.classification import Classification, classify, resolve_thresholds
from ftool_runtime.text.encode import text_problem

log = logging.getLogger(__name__)

_COMMAND: Final = "ftool adapt"  # the writer of run/, as others are told


@dataclass(frozen=True, kw_only=True)
class AdaptReport:
    """The effect of teaching one example. `before` and `after` are the main metric on the validation split."""

    text: str
    labels: tuple[str, ...]
    answer_before: Classification
    answer_after: Classification
    lesson: Lesson
    metric: str
    before: float
    after: float
    max_drop: float

    @property
    def drop(self) -> float:
        """The fall of the main metric on the validation split; negative if the metric rose."""
        return self.before - self.after

    @property
    def kept(self) -> bool:
        """Whether the change was kept: the example was learned, and `drop` is at most `max_drop`."""
        return self.lesson.learned and self.drop <= self.max_drop

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON."""
        return {
            "kept": self.kept,
            "text": self.text,
            "labels": list(self.labels),
            "updates": self.lesson.updates,
            "learned": self.lesson.learned,
            "answer": {
                name: {"labels": list(answer.labels), "label": answer.label, "score": answer.score}
                for name, answer in (("before", self.answer_before), ("after", self.answer_after))
            },
            "validation": {
                "metric": self.metric,
                "before": self.before,
                "after": self.after,
                "drop": self.drop,
                "max_drop": self.max_drop,
            },
        }


def adapt(folder: Path, text: str, labels: Sequence[str], *, max_drop: float = 0.01) -> AdaptReport:
    """Teach the model in `folder` that `text` has `labels`, by changing the model's head.

    A change that lowers the main metric on the validation split by more than `max_drop` is not kept, and the report
    says so. run/ is replaced as a whole or not at all; run/metrics.json lists the examples that were taught.

    Raises FtoolError for a label that the model does not know, a folder without run/, validation data that can't be
    read, or a folder in which another process trains or adapts.
    """
    recipe = Recipe.read(ModelFolder(folder).recipe)
    if not recipe.row.adaptable:
        fitting = listed(tuple(name for name in task_names() if find_task(name).adaptable))
        raise InputError(
            f"one example can only be taught to models for {fitting}; the task of this model is {recipe.task}"
        )
    run = ModelFolder(folder).require_run()
    with locked(folder, _COMMAND):
        return _adapt(recipe, run, text, labels, max_drop)


def _adapt(recipe: Recipe, run: Path, text: str, labels: Sequence[str], max_drop: float) -> AdaptReport:
    loaded = load_classifier(run)
    indices = _check(text, labels, loaded, max_drop)
    validation = _held_out(recipe, loaded, "validation")
    features = compute_features(loaded, [text])  # (1, hidden)
    answer_before = _answer(loaded, features)
    before = _evaluate(recipe, validation)
    thresholds = tuple(resolve_thresholds(loaded.thresholds, loaded.labels)) if loaded.multi_label else None
    lesson = teach_head(loaded.model.head, torch.from_numpy(features[0]), indices, thresholds=thresholds)
    after = _evaluate(recipe, validation)
    metric = main_metric(multi_label=loaded.multi_label, requested=given(recipe.train.metric))
    report = AdaptReport(
        text=text,
        labels=tuple(labels),
        answer_before=answer_before,
        answer_after=_answer(loaded, features),
        lesson=lesson,
        metric=metric,
        before=before.metrics[metric],
        after=after.metrics[metric],
        max_drop=max_drop,
    )
    if report.kept and lesson.updates:
        held_out = _held_out(recipe, loaded, "test")
        test = _evaluate(recipe, held_out)
        test = replace(test, baselines=stored_baselines(run, test, held_out.examples))
        _replace_run(run, loaded, report, validation=after, test=test)
    return report


@dataclass(frozen=True)
class _HeldOut:
    """A split and its features, with which the current head of the classifier is evaluated."""

    name: str
    examples: Split[LabelledText]
    features: NDArray[np.float32]  # (examples, hidden)
    loaded: LoadedClassifier

    def logits(self, _: Sequence[Any]) -> NDArray[np.float32]:
        """Return the current head's logits for the split's inputs, float32 (examples, labels)."""
        return _logits(self.loaded, self.features)


def _held_out(recipe: Recipe, loaded: LoadedClassifier, name: str) -> _HeldOut:
    known = open_run(loaded, None).known
    examples = split_for_model(recipe.row.reader, recipe.data, None, name, known)
    examples = replace(examples, outside=())  # their features are not needed to compare two heads
    return _HeldOut(name, examples, cached_features(loaded, examples.inputs), loaded)


def _evaluate(recipe: Recipe, held_out: _HeldOut) -> Evaluation:
    model = open_run(held_out.loaded, held_out)
    return measure_split(recipe.row, model, held_out.examples, held_out.name, recipe)


def _answer(loaded: LoadedClassifier, features: NDArray[np.float32]) -> Classification:
    logits = _logits(loaded, features)
    return classify(logits, loaded.labels, multi_label=loaded.multi_label, thresholds=loaded.thresholds)[0]


def _logits(loaded: LoadedClassifier, features: NDArray[np.float32]) -> NDArray[np.float32]:
    with torch.inference_mode():
        logits: NDArray[np.float32] = loaded.model.head(torch.from_numpy(np.array(features))).numpy()
    return logits


def _check(text: str, labels: Sequence[str], loaded: LoadedClassifier, max_drop: float) -> list[int]:
    """Return the indices of `labels`. Raises InputError if the text, the labels or the model don't allow teaching."""
    if loaded.pairs or loaded.regression:
        raise InputError(
            "one example can only be taught to models that label single texts; train this model again"
        )
    if (problem := text_problem(text)) is not None:
        raise InputError(f"--text {problem}; give the example's text")
    if "\0" in text:
        raise InputError("--text contains a NUL byte; remove it")
    if not 0 <= max_drop <= 1:
        raise InputError(f"max-drop must be from 0 to 1 (0.01 is one point), got {max_drop}")
    if not loaded.multi_label and len(labels) != 1:
        raise InputError(f"this model gives each text one label, got {len(labels)}: {', '.join(labels)}")
    return [_index(label, loaded.labels) for label in labels]


def _index(label: str, known: Sequence[str]) -> int:
    if label in known:
        return list(known).index(label)
    near = difflib.get_close_matches(label, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"its labels are {', '.join(known)}."
    raise InputError(f"the model has no label {label!r}; {hint} A new label needs examples and `ftool train`")


def _replace_run(
    run: Path, loaded: LoadedClassifier, report: AdaptReport, *, validation: Evaluation, test: Evaluation
) -> None:
    """Replace the folder run/ by one that contains the changed model and an updated metrics.json."""
    metrics = _read_metrics(run)
    earlier = metrics.get("adaptations", [])
    entry = report.to_json() | {"at": datetime.now(UTC).isoformat(timespec="seconds")}
    updated = (
        metrics | test.to_json() | {"validation": validation.to_json(), "adaptations": [*earlier, entry]}
    )
    with replacing_folder(run, _COMMAND) as folder:
        loaded.save(folder)
        write_metrics(folder, updated)


def _read_metrics(run: Path) -> dict[str, Any]:
    """Return the content of metrics.json in the folder `run`; {} if there is no such file."""
    content = read_metrics(run)
    if not content:
        log.warning("%s could not be read; a new one is written", run / METRICS_FILE)
    return content
