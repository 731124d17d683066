"""What a model folder's run/ or bundle/ answers to texts that belong to no data set of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

import ftool_runtime
from ftool.workspace import ModelFolder
from ftool_export.checkpoints.classifier import compute_logits, load_classifier
from ftool_export.checkpoints.encoder import all_rows, compute_outputs
from ftool_export.checkpoints.reader import load_reader
from ftool_export.examples.questions import QuestionExamples
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.models.reader import read_answer
from ftool_runtime.postprocessing.classification import classify, probabilities


@dataclass(frozen=True, kw_only=True)
class Classified:
    """A classifier's labels, and for every text those that apply."""

    labels: tuple[str, ...]
    applying: Sequence[tuple[str, ...]]

    def any_of(self, labels: Sequence[str]) -> NDArray[np.bool_]:
        """Which texts have one of `labels`, (texts,)."""
        wanted = set(labels)
        return np.array([not wanted.isdisjoint(found) for found in self.applying])


class Classifier(Protocol):
    """What a classifier's checkpoint and its bundle's manifest both say of it."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels in the order of the logits; none where it gives a number."""

    @property
    def multi_label(self) -> bool:
        """Whether several labels may apply."""

    @property
    def regression(self) -> bool:
        """Whether it gives one number."""

    @property
    def pairs(self) -> bool:
        """Whether it reads two texts."""


def classifier_of(folder: Path, on: Literal["run", "bundle"]) -> Classifier:
    """What is known of a model before it answers anything."""
    if on == "bundle":
        return Manifest.read(ModelFolder(folder).require_bundle())
    return load_classifier(ModelFolder(folder).require_run())


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
    folder: Path, on: Literal["run", "bundle"], asked: Sequence[dict[str, str]], *, always: bool
) -> list[str | None]:
    """What a reader answers to questions about contexts; None where it says that there is no answer.

    With `always` it is its best stretch of the context, whatever it thinks of there being none.
    """
    if on == "bundle":
        with ftool_runtime.load(ModelFolder(folder).require_bundle(), profile="throughput") as model:
            spans, threshold = model.spans(asked), model.no_answer_threshold
    else:
        loaded = load_reader(ModelFolder(folder).require_run())
        examples = QuestionExamples(loaded=loaded, inputs=asked)
        spans = examples.spans(compute_outputs(loaded, examples.rows))
        threshold = loaded.no_answer_threshold
    return [
        read_answer(one["context"], found, None if always else threshold).text
        for one, found in zip(asked, spans, strict=True)
    ]


def score_pairs(
    folder: Path, on: Literal["run", "bundle"], pairs: Sequence[dict[str, str]], label: str | None
) -> NDArray[np.float64]:
    """How a classifier of pairs scores each of them, (pairs,): the probability of `label`, or its one number."""
    known = classifier_of(folder, on)
    if on == "bundle":
        with ftool_runtime.load(ModelFolder(folder).require_bundle(), profile="throughput") as model:
            logits = np.asarray(model.outputs(pairs), dtype=np.float64)
    else:
        loaded = load_classifier(ModelFolder(folder).require_run())
        logits = np.asarray(compute_outputs(loaded, all_rows(loaded, pairs)), dtype=np.float64)
    if known.regression or label is None:
        return logits[:, 0]
    found: NDArray[np.float64] = probabilities(logits, multi_label=known.multi_label)
    return found[:, known.labels.index(label)]
