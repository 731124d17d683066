"""Train classifiers: first the head on frozen features, then all weights or adapters."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ftool.data.dataset import Dataset, fingerprint
from ftool.data.rows.labels import LabelledText
from ftool.errors import TrainingError
from ftool.evaluation.metrics.calibration import tune_thresholds
from ftool.evaluation.metrics.classification import main_score
from ftool.evaluation.metrics.none_of_these import Confidence, fit_none_below
from ftool.recipe.sections import TrainSettings, given
from ftool.training.batches import EncoderRows, text_rows
from ftool.training.encoder import EncoderObjective
from ftool.training.hardware import device_name, main_process_first
from ftool.training.head.features import cached_features
from ftool.training.head.fit import HeadResult, LabelledFeatures, fit_head
from ftool.training.head.fit_online import fit_head_online
from ftool.training.loop import SCORE, defined
from ftool.training.losses import ClassificationLoss, class_weights, encode_targets, output_weights
from ftool_export.checkpoints.classifier import LoadedClassifier, compute_logits
from ftool_export.checkpoints.encoder import all_rows
from ftool_runtime.postprocessing.classification import probabilities
from ftool_runtime.session.encoder_engine import Outputs
from ftool_runtime.text.encode import Tokens


class ClassifierObjective(EncoderObjective):
    """Cross-entropy over labels, or squared error for regression; the main metric on validation selects the weights."""

    keep_start = True
    initial_weights = "the head on the frozen encoder"

    def __init__(
        self, loaded: LoadedClassifier, data: Dataset[LabelledText], settings: TrainSettings
    ) -> None:
        """Prepare to train `loaded`. Raises TrainingError for class weights that don't fit the data."""
        self._data, self._kind = data, _kind(data.facts)
        self._targets = {name: self._encoded(name) for name in ("train", "validation")}
        self._loss = self.loss_of(settings)
        self._start_head: dict[str, Tensor] = {}
        super().__init__(loaded, settings, head=loaded.model.head)

    def loss_of(self, settings: TrainSettings) -> ClassificationLoss:
        """Return the loss. Raises TrainingError if the data has numbers but the settings need labels."""
        data, targets = self._data, self._targets["train"]
        if not data.facts["regression"]:
            weights = class_weights(settings.class_weights, targets, data.labels)
            return ClassificationLoss(
                multi_label=data.facts["multi_label"], weights=weights, smoothing=settings.label_smoothing
            )
        if settings.class_weights != "none" or settings.label_smoothing:
            raise TrainingError(
                "train.class_weights and train.label_smoothing need labels, but this data has numbers "
                "(data.regression); leave them out"
            )
        return ClassificationLoss(multi_label=False, regression=True, weights=output_weights(targets))

    def training_rows(self, loaded: LoadedClassifier) -> EncoderRows:
        """Return the rows of the training texts or pairs of texts, with their targets."""
        return text_rows(loaded, self._data.train.inputs, self._targets["train"])

    def validation_rows(self) -> Sequence[Tokens]:
        """Return the tokens of each validation text or pair of texts."""
        return all_rows(self.loaded, self._data.validation.inputs)

    def first_stage(self) -> dict[str, Any]:
        """Train the head in place on frozen features; return results. `begin` later loads a more regularised head."""
        began = time.monotonic()
        with main_process_first():
            train, validation = (self._features(split) for split in ("train", "validation"))
        if self.settings.samples == "single":
            result = fit_head_online(
                self.loaded.model.head, train, validation, self._loss, self.score_of, self.settings
            )
        else:
            result = self.fit_head(train, validation)
        self._start_head = result.start_weights
        return {
            "head": {
                "trials": [asdict(trial) for trial in result.trials],
                "best": asdict(result.best),
                "start": asdict(result.start),
                "seconds": time.monotonic() - began,
            }
        }

    def fit_head(
        self, train: LabelledFeatures, validation: LabelledFeatures, level: int = logging.INFO
    ) -> HeadResult:
        """Train the head in place to its optimum on features; the result is logged at `level`."""
        return fit_head(self.loaded.model.head, train, validation, self._loss, self.score_of, level=level)

    def begin(self) -> None:
        """Load the more regularised head that fine-tuning starts from."""
        self.loaded.model.head.load_state_dict(self._start_head)

    def loss(self, logits: Tensor, labels: Tensor, attention_mask: Tensor) -> Tensor:  # noqa: ARG002
        """Return a batch's loss, the mean over the examples, weighted by class: float32 ()."""
        return self._loss(logits, labels)

    def imitation(self, logits: Tensor, taught: Tensor, labels: Tensor, attention_mask: Tensor) -> Tensor:  # noqa: ARG002
        """Return a batch's mean loss against a teacher's outputs, float32 (). See `ClassificationLoss.imitation`."""
        return self._loss.imitation(logits, taught, self.settings.distill_temperature)

    def scores(self, outputs: Outputs) -> dict[str, float]:
        """Return the loss and the main metric for `outputs`, the network's outputs for all validation rows."""
        logits = np.asarray(outputs)
        loss = self._loss(torch.from_numpy(logits), self._targets["validation"])
        return {"loss": float(loss), SCORE: self.score_of(logits)}

    def finish(self) -> LoadedClassifier:
        """Return the classifier, with thresholds tuned on validation if the settings ask for it.

        If the data has texts that no label fits, the probability below which no label applies is fitted on validation,
        and on all such texts of training and validation, from which nothing was learnt.
        """
        loaded: LoadedClassifier = super().finish()
        if outside := [*self._data.train.outside, *self._data.validation.outside]:
            return replace(loaded, none_below=self._none_below(loaded, [one.input for one in outside]))
        if not self._tunes:
            return loaded
        thresholds = self._thresholds(np.asarray(self.validation_outputs()))
        return replace(loaded, thresholds=thresholds, tuned_on=fingerprint(self._data.validation.examples))

    def _none_below(self, loaded: LoadedClassifier, outside: Sequence[Any]) -> float:
        inside = np.asarray(self.validation_outputs())
        targets = self._targets["validation"].numpy()
        return fit_none_below(Confidence.of(inside, targets, compute_logits(loaded, outside)))

    @property
    def _tunes(self) -> bool:
        return self._kind["multi_label"] and self.settings.thresholds == "tuned"

    def score_of(self, logits: NDArray[np.float32]) -> float:
        """Return the main metric of the validation examples' logits, float32 (examples, labels).

        If the settings ask for tuned thresholds, the metric is that at tuned thresholds.
        """
        thresholds = self._thresholds(logits) if self._tunes else None
        targets, metric = self._targets["validation"].numpy(), given(self.settings.metric)
        return defined(main_score(logits, targets, thresholds=thresholds, metric=metric, **self._kind))

    def _thresholds(self, logits: NDArray[np.float32]) -> tuple[float, ...]:
        targets = self._targets["validation"].numpy() > 0
        return tune_thresholds(probabilities(logits, multi_label=True), targets)

    def _encoded(self, split: str) -> Tensor:
        return encode_targets(self._data.split(split).examples, self._data.labels, **self._kind)

    def _features(self, split: str) -> LabelledFeatures:
        self.loaded.model.to(device_name())
        features = cached_features(self.loaded, self._data.split(split).inputs)
        self.loaded.model.to("cpu")
        return LabelledFeatures(features=features, targets=self._targets[split])


def _kind(facts: Mapping[str, Any]) -> dict[str, bool]:
    return {"multi_label": facts["multi_label"], "regression": facts["regression"]}
