"""Fine-tuning an encoder's weights, or adapters, by transformers' Trainer, whatever the task."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn
from transformers import Trainer, TrainingArguments

from ftool.recipe import TrainSettings

from .loop import FinetuneResult, Measure, Measured, callbacks, keep_best, trainer_arguments


class TrainingRows(Protocol):
    """The training examples: a torch data set whose items `collate` puts into a batch."""

    @property
    def lengths(self) -> Sequence[int]:
        """Tokens of each example; batches are made of like ones."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> dict[str, Any]: ...

    def collate(self, items: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """What the network takes, by name, for a batch of `items`."""


def finetune_weights(
    network: nn.Module,
    rows: TrainingRows,
    settings: TrainSettings,
    *,
    measure: Measure,
    folder: Path,
    resume_from: Path | None = None,
    begin: Callable[[], None] | None = None,
) -> FinetuneResult:
    """Train `network` in place and leave in it the weights that scored best, those handed in included.

    Args:
        network: called with a batch by name; gives a dict with "loss", float32 ().
        rows: the training examples.
        settings: the recipe's.
        measure: takes the network in evaluation mode; gives "loss", and "score", of which more is better.
        folder: where checkpoints go.
        resume_from: the checkpoint to go on from.
        begin: changes the weights that training begins with, once those handed in are measured.

    Raises TrainingError where the loss is no longer a number, or the disk is full.
    """
    trainer = _RowsTrainer(
        model=network,
        args=TrainingArguments(**trainer_arguments(settings, len(rows), folder)),
        train_dataset=rows,
        eval_dataset=rows,  # Trainer wants one; ours measures
        data_collator=rows.collate,
        callbacks=callbacks(settings),
    )
    trainer.train_lengths = rows.lengths
    trainer.measure = measure
    return keep_best(trainer, network, folder=folder, resume_from=resume_from, begin=begin)


class _RowsTrainer(Measured, Trainer):  # type: ignore[misc]
    """Trainer in our order of examples, with our measure."""
