"""What a classifier is trained for on one data set: targets, loss, and the score that decides."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ftool.data.dataset import Dataset
from ftool.data.rows.labels import LabelledText
from ftool.evaluation.metrics.calibration import tune_thresholds
from ftool.evaluation.metrics.classification import main_score
from ftool.recipe.sections import TrainSettings
from ftool.training.errors import TrainingError
from ftool.training.losses import ClassificationLoss, class_weights, encode_targets
from ftool_runtime.postprocessing.classification import probabilities


@dataclass(frozen=True)
class Objective:
    """The loss that training minimises, and the main metric on validation that chooses between outcomes."""

    data: Dataset[LabelledText]
    settings: TrainSettings

    def targets(self, split: str) -> Tensor:
        """The split's labels: int64 (examples,), or float32 (examples, labels) of 0 and 1 with several a text.

        Numbers to meet are float32 (examples,).
        """
        data = self.data
        return encode_targets(
            data.split(split).examples,
            data.labels,
            multi_label=data.facts["multi_label"],
            regression=data.facts["regression"],
        )

    @cached_property
    def loss(self) -> ClassificationLoss:
        """Cross-entropy with the settings' class weights and label smoothing, or the squared error."""
        if self.data.facts["regression"]:
            return _squared_error(self.settings)
        weights = class_weights(self.settings.class_weights, self.targets("train"), self.data.labels)
        return ClassificationLoss(
            multi_label=self.data.facts["multi_label"],
            weights=weights,
            smoothing=self.settings.label_smoothing,
        )

    def thresholds(self, logits: NDArray[np.float32]) -> tuple[float, ...] | None:
        """The thresholds that suit validation's `logits` (examples, labels) best; None where none are tuned."""
        if not self.data.facts["multi_label"] or self.settings.thresholds == "half":
            return None
        return tune_thresholds(probabilities(logits, multi_label=True), self._validation > 0)

    def score(self, logits: NDArray[np.float32]) -> float:
        """The main metric of validation's `logits` (examples, labels), with thresholds tuned where asked for."""
        return main_score(
            logits,
            self._validation,
            multi_label=self.data.facts["multi_label"],
            regression=self.data.facts["regression"],
            thresholds=self.thresholds(logits),
        )

    @cached_property
    def _validation(self) -> NDArray[np.float32] | NDArray[np.int64]:
        targets: NDArray[np.float32] | NDArray[np.int64] = self.targets("validation").numpy()
        return targets


def _squared_error(settings: TrainSettings) -> ClassificationLoss:
    """Raises TrainingError for settings that mean nothing where there are no labels."""
    if settings.class_weights != "none" or settings.label_smoothing:
        raise TrainingError(
            "train.class_weights and train.label_smoothing are for labels, and this data has numbers "
            "(data.regression); leave them out"
        )
    return ClassificationLoss(multi_label=False, regression=True)
