"""The toolchain's part of a task that a user adds to ftool: votes on each text, counted in a column for each choice."""

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
from ftool.evaluation.results import Measurements
from ftool.recipe.sections import Sections
from ftool.tasks.base import Task
from ftool.training.batches import EncoderRows, text_rows
from ftool.training.encoder import EncoderObjective
from ftool.training.loop import SCORE
from ftool_export.checkpoints import classifier
from ftool_export.checkpoints.encoder import all_rows, compute_outputs
from ftool_export.examples.base import EncoderExamples
from ftool_runtime.numerics import softmax


@dataclass(frozen=True, slots=True)
class VotedText(LabelledText):
    shares: tuple[float, ...] = ()

    @property
    def content(self) -> list[Any]:
        return [self.text, *self.shares]


class VoteReader(RowReader[VotedText]):
    labelled = True

    def read(self, table: Table) -> Split[VotedText]:
        texts = column_texts(table, find_column(table, TEXT, self.settings.text))
        columns = zip(*(column_numbers(table, name) for name in self._names()), strict=True)
        examples = [
            VotedText(text, shares=tuple(count / sum(votes) for count in votes), row=row)
            for text, votes, row in zip(texts, columns, table.numbers, strict=True)
        ]
        return Split(examples, table.source, table)

    def note(self) -> str:
        return f"{self.first.source}: votes in {', '.join(self._names())}"

    def labels(self, splits: Mapping[str, Split[VotedText]]) -> tuple[str, ...]:
        return self._names()

    def known_classes(self, labels: Sequence[str]) -> Sequence[str]:
        return ()

    def _names(self) -> tuple[str, ...]:
        return tuple(name.strip() for name in (self.settings.label or "").split(","))


@dataclass(frozen=True, kw_only=True)
class LoadedGuesser(classifier.LoadedClassifier):
    task: str = "vote-guessing"

    def manifest_fields(self) -> dict[str, Any]:
        return {"labels": self.labels}

    @classmethod
    def of(cls, loaded: classifier.LoadedClassifier) -> "LoadedGuesser":
        return cls(**{one.name: getattr(loaded, one.name) for one in fields(loaded) if one.name != "task"})

    def outputs(self, inputs: Sequence[str]) -> Any:
        return compute_outputs(self, all_rows(self, inputs))


def _targets(split: Split[VotedText]) -> Any:
    return np.array([one.shares for one in split.examples], dtype=np.float32)


class _Objective(EncoderObjective):
    data: Dataset[VotedText]

    def training_rows(self, loaded: Any) -> EncoderRows:
        return text_rows(loaded, self.data.train.inputs, torch.from_numpy(_targets(self.data.train)))

    def validation_rows(self) -> Any:
        return all_rows(self.loaded, self.data.validation.inputs)

    def loss(self, logits: Any, labels: Any, attention_mask: Any) -> Any:
        return F.cross_entropy(logits, labels)

    def scores(self, outputs: Any) -> dict[str, float]:
        found = _metrics(outputs, _targets(self.data.validation))
        return {"loss": 1 - found["overlap"], SCORE: found["overlap"]}


def _objective(loaded: LoadedGuesser, data: Dataset[VotedText], _: Any, recipe: Sections) -> _Objective:
    made = _Objective(loaded, recipe.train, head=loaded.model.head)
    made.data = data
    return made


def _metrics(outputs: Any, targets: Any) -> dict[str, float]:
    return {"overlap": float(np.minimum(softmax(outputs), targets).sum(axis=1).mean())}


@dataclass(frozen=True, kw_only=True)
class VotedExamples(EncoderExamples):
    kind = "labels"
    metric: str | None = "overlap"
    targets: Any = None

    def score(self, outputs: Any) -> float:
        return _metrics(outputs, self.targets)["overlap"]

    def distances(self, reference: Any, other: Any) -> Any:
        return np.abs(softmax(reference) - softmax(other)).max(axis=1)

    def same(self, reference: Any, other: Any) -> Any:
        return self.distances(reference, other)[:, np.newaxis] <= 0.1


def _create(recipe: Sections, data: Dataset[VotedText]) -> LoadedGuesser:
    base, longest = resolve_base(recipe.base), recipe.train.max_length
    return LoadedGuesser.of(
        classifier.create_classifier(base, data.labels, multi_label=False, max_length=longest)
    )


TASK = Task(
    name="vote-guessing",
    reader=VoteReader,
    settings=frozenset({"data.text", "data.label"}),
    create=_create,
    load=lambda checkpoint: LoadedGuesser.of(classifier.load_classifier(checkpoint)),
    objective=_objective,
    answering=lambda loaded: loaded,
    measure=lambda model, split: Measurements(
        metrics=_metrics(model.model.outputs(split.inputs), _targets(split))
    ),
    examples=lambda _, split, __: VotedExamples(inputs=split.inputs, targets=_targets(split)),
    samples=lambda _: VotedExamples(inputs=["a text"], metric=None),
)
