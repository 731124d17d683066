"""The stages of training a classifier: the head on frozen features, then the weights below it."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from ftool.training.classifier_finetune import TrainedNetwork, measure_on_validation
from ftool.training.classifier_objective import Objective
from ftool.training.distributed import main_process_first
from ftool.training.encoder_finetune import train_encoder
from ftool.training.encoder_rows import text_rows
from ftool.training.hardware import device_name
from ftool.training.head.features import cached_features
from ftool.training.head.fit import LabelledFeatures, fit_head
from ftool.training.head.fit_online import fit_head_online
from ftool_export.checkpoints.classifier import LoadedClassifier


def train_head(loaded: LoadedClassifier, objective: Objective) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Train the head in place on the encoder's frozen features.

    What happened, as plain JSON, and the head's weights that fine-tuning had better start from.
    """
    began = time.monotonic()
    loss = objective.loss  # refuses wrong class weights before the features take their time
    with main_process_first():
        train, validation = (
            _labelled_features(loaded, objective, split) for split in ("train", "validation")
        )
    settings, head = objective.settings, loaded.model.head
    if settings.samples == "single":
        result = fit_head_online(head, train, validation, loss, objective.score, settings)
    else:
        result = fit_head(head, train, validation, loss, objective.score)
    happened: dict[str, Any] = {
        "trials": [asdict(trial) for trial in result.trials],
        "best": asdict(result.best),
        "start": asdict(result.start),
        "seconds": time.monotonic() - began,
    }
    return happened, result.start_weights


def train_weights(
    loaded: LoadedClassifier,
    objective: Objective,
    start_head: dict[str, Tensor],
    folder: Path,
    resume_from: Path | None,
) -> dict[str, Any]:
    """Fine-tune all weights, or LoRA adapters that are merged afterwards; what happened, as plain JSON.

    Training begins with the head `start_head`. Checkpoints go to `folder`.
    """
    model = loaded.model
    return train_encoder(
        TrainedNetwork(model, objective.loss),
        model,
        model.head,
        text_rows(loaded, objective.data.train.inputs, objective.targets("train")),
        objective.settings,
        measure=measure_on_validation(loaded, objective),
        folder=folder,
        resume_from=resume_from,
        begin=lambda: model.head.load_state_dict(start_head),
    )


def _labelled_features(loaded: LoadedClassifier, objective: Objective, split: str) -> LabelledFeatures:
    texts = objective.data.split(split).inputs
    loaded.model.to(device_name())
    features = cached_features(loaded, texts)
    loaded.model.to("cpu")
    return LabelledFeatures(features=features, targets=objective.targets(split))
