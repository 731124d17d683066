"""What a model folder's run/ or bundle/ answers to texts that belong to no data set of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

import ftool_runtime
from ftool.model_folder import ModelFolder
from ftool_export.classifier import compute_logits, load_classifier
from ftool_export.encoder.inference import compute_outputs
from ftool_export.reader import QuestionExamples, load_reader
from ftool_runtime.manifest import Manifest
from ftool_runtime.tasks.text_classification import classify


@dataclass(frozen=True, kw_only=True)
class Classified:
    """A classifier's labels, and for every text those that apply."""

    labels: tuple[str, ...]
    applying: Sequence[tuple[str, ...]]

    def any_of(self, labels: Sequence[str]) -> NDArray[np.bool_]:
        """Which texts have one of `labels`, (texts,)."""
        wanted = set(labels)
        return np.array([not wanted.isdisjoint(found) for found in self.applying])


def classifier_labels(folder: Path, on: Literal["run", "bundle"]) -> tuple[str, ...]:
    """The labels of a model, known before it answers anything."""
    if on == "bundle":
        return Manifest.read(ModelFolder(folder).require_bundle()).labels
    return load_classifier(ModelFolder(folder).require_run()).labels


def classify_texts(folder: Path, on: Literal["run", "bundle"], texts: Sequence[str]) -> Classified:
    """The labels that a classifier gives to texts; where several may apply, by its own thresholds."""
    if on == "bundle":
        with ftool_runtime.load(ModelFolder(folder).require_bundle(), profile="throughput") as model:
            return Classified(labels=model.labels, applying=[answer.labels for answer in model(texts)])
    loaded = load_classifier(ModelFolder(folder).require_run())
    answers = classify(
        compute_logits(loaded, texts),
        loaded.labels,
        multi_label=loaded.multi_label,
        thresholds=loaded.thresholds,
    )
    return Classified(labels=loaded.labels, applying=[answer.labels for answer in answers])


def answer_questions(
    folder: Path, on: Literal["run", "bundle"], asked: Sequence[dict[str, str]]
) -> list[str | None]:
    """What a reader answers to questions about contexts; None where it says that there is no answer."""
    if on == "bundle":
        with ftool_runtime.load(ModelFolder(folder).require_bundle(), profile="throughput") as model:
            return [answer.text for answer in model(asked)]
    loaded = load_reader(ModelFolder(folder).require_run())
    examples = QuestionExamples(loaded=loaded, inputs=asked)
    return [answer.text for answer in examples.answers(compute_outputs(loaded, examples.rows))]
