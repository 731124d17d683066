"""The base class of training objectives, and `finetune`, which fine-tunes a model for an objective."""

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
    """The loss that training minimises, and the validation score that selects the best weights.

    Attributes:
        settings: the recipe's [train] table.
        keep_start: whether the initial weights may be kept if no later weights are better.
        initial_weights: a description of the initial weights, for metrics.json.
    """

    settings: TrainSettings
    keep_start: bool = False
    initial_weights: str = "the weights it began with"

    @property
    @abstractmethod
    def lengths(self) -> Sequence[int]:
        """The number of tokens of each training row, used to make batches."""

    def first_stage(self) -> dict[str, Any]:
        """Do what precedes fine-tuning, if anything; return the results as plain JSON for metrics.json."""
        return {}

    @abstractmethod
    def network(self) -> nn.Module:
        """Return the network that the Trainer trains, with adapters if the settings ask for them."""

    @abstractmethod
    def trainer(self, network: nn.Module, arguments: Mapping[str, Any]) -> Any:
        """Return a Trainer of a subclass of `Measured`; `arguments` are keyword arguments for TrainingArguments."""

    @abstractmethod
    def measure(self, network: Any) -> dict[str, float]:
        """Return at least "loss" and "score" (higher is better) on validation; `network` is in evaluation mode."""

    def begin(self) -> None:  # noqa: B027 (most change nothing)
        """Change the weights that fine-tuning starts from; called after the initial weights were measured."""

    @abstractmethod
    def merge(self, network: Any) -> float:
        """Merge adapters into the weights; return the largest change of an output.

        Raises TrainingError if the outputs change beyond rounding.
        """

    def extra_results(self) -> dict[str, Any]:
        """Return further results of fine-tuning for metrics.json, as plain JSON."""
        return {}

    @abstractmethod
    def finish(self) -> Any:
        """Return the trained model in evaluation mode, with thresholds, if it has any, tuned on validation."""


def finetune(objective: Objective, *, folder: Path, resume_from: Path | None = None) -> dict[str, Any]:
    """Fine-tune all weights, or adapters that are merged afterwards; return the results as plain JSON.

    The model ends with the weights that scored best on validation. Checkpoints are saved in `folder`. Raises
    TrainingError if the loss becomes NaN or infinite, or the disk is full.
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
    results = asdict(best)
    if settings.method == "lora":
        results["merge_difference"] = objective.merge(network)
    return results | objective.extra_results() | {"seconds": time.monotonic() - began}
