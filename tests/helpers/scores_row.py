"""The toolchain's part of a task that a user adds to ftool: several named numbers per text, each in its own column."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from ftool.bases import resolve_base
from ftool.data.cells import column_numbers, column_texts
from ftool.data.columns import TEXT, find_column
from ftool.data.dataset import Dataset, Split
from ftool.data.rows.base import RowReader
from ftool.data.rows.labels import LabelledText
from ftool.data.table import Table
from ftool.evaluation.metrics.classification import number_metrics
from ftool.evaluation.results import Measurements
from ftool.recipe.sections import Sections
from ftool.tasks.base import Task
from ftool.training.batches import EncoderRows, text_rows
from ftool.training.encoder import EncoderObjective
from ftool.training.loop import SCORE
from ftool_export.checkpoints import classifier
from ftool_export.checkpoints.encoder import all_rows, compute_outputs
from ftool_export.examples.base import EncoderExamples


@dataclass(frozen=True, slots=True)
class ScoredText(LabelledText):
    numbers: tuple[float, ...] = ()

    @property
    def content(self) -> list[Any]:
        return [self.text, *self.numbers]


class ScoreReader(RowReader[ScoredText]):
    labelled = True

    def read(self, table: Table) -> Split[ScoredText]:
        texts = column_texts(table, find_column(table, TEXT, self.settings.text))
        columns = zip(*(column_numbers(table, name) for name in self._names()), strict=True)
        rows = zip(texts, columns, table.numbers, strict=True)
        return Split(
            [ScoredText(text, numbers=numbers, row=row) for text, numbers, row in rows], table.source, table
        )

    def note(self) -> str:
        return f"{self.first.source}: numbers from {', '.join(self._names())}"

    def labels(self, splits: Mapping[str, Split[ScoredText]]) -> tuple[str, ...]:
        return self._names()

    def known_classes(self, labels: Sequence[str]) -> Sequence[str]:
        return ()

    def _names(self) -> tuple[str, ...]:
        return tuple(name.strip() for name in (self.settings.label or "").split(","))


@dataclass(frozen=True, kw_only=True)
class LoadedScorer(classifier.LoadedClassifier):
    task: str = "text-scoring"

    def manifest_fields(self) -> dict[str, Any]:
        return {"labels": self.labels}

    @classmethod
    def of(cls, loaded: classifier.LoadedClassifier) -> "LoadedScorer":
        return cls(**{one.name: getattr(loaded, one.name) for one in fields(loaded) if one.name != "task"})

    def outputs(self, inputs: Sequence[str]) -> Any:
        return compute_outputs(self, all_rows(self, inputs))


def _targets(split: Split[ScoredText]) -> Any:
    return np.array([one.numbers for one in split.examples], dtype=np.float32)


class _Objective(EncoderObjective):
    data: Dataset[ScoredText]

    def training_rows(self) -> EncoderRows:
        return text_rows(self.loaded, self.data.train.inputs, torch.from_numpy(_targets(self.data.train)))

    def validation_rows(self) -> Any:
        return all_rows(self.loaded, self.data.validation.inputs)

    def loss(self, logits: Any, labels: Any, attention_mask: Any) -> Any:
        return F.mse_loss(logits, labels)

    def scores(self, outputs: Any) -> dict[str, float]:
        found = _metrics(outputs, _targets(self.data.validation))
        return {"loss": found["mse"], SCORE: found["spearman"]}


def _objective(loaded: LoadedScorer, data: Dataset[ScoredText], _: Any, recipe: Sections) -> _Objective:
    made = _Objective(loaded, recipe.train, head=loaded.model.head)
    made.data = data
    return made


def _metrics(outputs: Any, targets: Any) -> dict[str, float]:
    each = [number_metrics(*both) for both in zip(np.asarray(outputs).T, targets.T, strict=True)]
    return {name: float(np.mean([one[name] for one in each])) for name in each[0]}


@dataclass(frozen=True, kw_only=True)
class ScoredExamples(EncoderExamples):
    kind = "labels"
    metric: str | None = "spearman"
    targets: Any = None

    def score(self, outputs: Any) -> float:
        return _metrics(outputs, self.targets)["spearman"]

    def distances(self, reference: Any, other: Any) -> Any:
        one, two = (np.asarray(values, dtype=np.float64) for values in (reference, other))
        return np.minimum(np.abs(one - two) / np.maximum(np.ptp(one, axis=0), 1e-6), 1.0).max(axis=1)

    def same(self, reference: Any, other: Any) -> Any:
        return self.distances(reference, other)[:, np.newaxis] <= 0.1


def _create(recipe: Sections, data: Dataset[ScoredText]) -> LoadedScorer:
    base, longest = resolve_base(recipe.base), recipe.train.max_length
    return LoadedScorer.of(
        classifier.create_classifier(base, data.labels, multi_label=False, max_length=longest)
    )


TASK = Task(
    name="text-scoring",
    reader=ScoreReader,
    settings=frozenset({"data.text", "data.label"}),
    create=_create,
    load=lambda checkpoint: LoadedScorer.of(classifier.load_classifier(checkpoint)),
    objective=_objective,
    answering=lambda loaded: loaded,
    measure=lambda model, split: Measurements(
        metrics=_metrics(model.model.outputs(split.inputs), _targets(split))
    ),
    examples=lambda _, split, __: ScoredExamples(inputs=split.inputs, targets=_targets(split)),
    samples=lambda _: ScoredExamples(inputs=["a text"], metric=None),
)
