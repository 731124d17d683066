"""Objectives: what a model is trained for on one data set, and the one function that fine-tunes any of them."""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from torch import nn

from ftool.recipe.sections import TrainSettings
from ftool.training.loop import keep_best, trainer_arguments

SAMPLE: Final = 4  # training rows on which the merge of adapters is checked


class Objective(ABC):
    """The loss that training minimises, and the score on validation that chooses between weights.

    Attributes:
        settings: the recipe's.
        keep_start: whether the weights that were handed in are among those to choose from.
        begun_with: the name of the weights that fine-tuning has to beat.
    """

    settings: TrainSettings
    keep_start: bool = False
    begun_with: str = "the weights it began with"

    @property
    @abstractmethod
    def lengths(self) -> Sequence[int]:
        """The tokens of each training row, by which batches are made."""

    def first_stage(self) -> dict[str, Any]:
        """Do what comes before fine-tuning; what happened, as plain JSON for metrics.json."""
        return {}

    @abstractmethod
    def network(self) -> nn.Module:
        """Return the network that a Trainer drives, with adapters if the settings ask for them."""

    @abstractmethod
    def trainer(self, network: nn.Module, arguments: Mapping[str, Any]) -> Any:
        """Return a Trainer, of a class below `Measured`, from keyword arguments of TrainingArguments."""

    @abstractmethod
    def measure(self, network: Any) -> dict[str, float]:
        """Return at least "loss" and "score" on validation, more of which is better, in evaluation mode."""

    def begin(self) -> None:  # noqa: B027 (most change nothing)
        """Change the weights that fine-tuning begins with, once those handed in are measured."""

    @abstractmethod
    def merge(self, network: Any) -> float:
        """Fold adapters into the weights; the largest change of an output by it. Raises TrainingError if large."""

    def happened(self) -> dict[str, Any]:
        """Return what else is known after fine-tuning, as plain JSON."""
        return {}

    @abstractmethod
    def finish(self) -> Any:
        """Return the trained model in evaluation mode, with all that is tuned on validation afterwards."""


def finetune(objective: Objective, *, folder: Path, resume_from: Path | None = None) -> dict[str, Any]:
    """Fine-tune all weights, or adapters that are merged afterwards; what happened, as plain JSON.

    The model is left with the weights that scored best on validation. Checkpoints go to `folder`. Raises TrainingError
    if the loss is no longer a number, or the disk is full.
    """
    began = time.monotonic()
    settings, network = objective.settings, objective.network()
    trainer = objective.trainer(network, trainer_arguments(settings, len(objective.lengths), folder))
    trainer.train_lengths, trainer.measure = objective.lengths, objective.measure
    best = keep_best(
        trainer,
        network,
        folder=folder,
        resume_from=resume_from,
        keep_start=objective.keep_start,
        begin=objective.begin,
    )
    happened = asdict(best)
    if settings.method == "lora":
        happened["merge_difference"] = objective.merge(network)
    return happened | objective.happened() | {"seconds": time.monotonic() - began}
