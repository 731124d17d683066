"""Fine-tuning an encoder's weights, or adapters, by transformers' Trainer, whatever the task."""

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn
from transformers import Trainer, TrainingArguments

from ftool.recipe.sections import TrainSettings
from ftool.training.encoder_rows import EncoderRows
from ftool.training.loop import Measure, Measured, callbacks, keep_best, trainer_arguments
from ftool.training.lora import add_adapters, merge_adapters
from ftool_export.networks.encoder import EncoderNetwork


def train_encoder(
    network: nn.Module,
    model: EncoderNetwork,
    head: nn.Module,
    rows: EncoderRows,
    settings: TrainSettings,
    *,
    measure: Measure,
    folder: Path,
    resume_from: Path | None = None,
    begin: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Fine-tune all weights of `model`, or adapters that are merged afterwards; what happened, as plain JSON.

    Left in `model` are the weights that scored best.

    Args:
        network: `model` with its loss, called with a batch by name; gives a dict with "loss", float32 ().
        model: what is trained.
        head: the layer of it that adapters leave alone.
        rows: the training examples.
        settings: the recipe's.
        measure: takes `network` in evaluation mode; gives "loss", and "score", of which more is better.
        folder: where checkpoints go.
        resume_from: the checkpoint to go on from.
        begin: changes the weights that training begins with; those handed in are then a choice too. None: none is.

    Raises TrainingError where the loss is no longer a number, or the disk is full.
    """
    began = time.monotonic()
    if settings.method == "lora":
        add_adapters(model, head, settings)
    trainer = _RowsTrainer(
        model=network,
        args=TrainingArguments(**trainer_arguments(settings, len(rows), folder)),
        train_dataset=rows,
        eval_dataset=rows,  # Trainer wants one; ours measures
        data_collator=rows.collate,
        callbacks=callbacks(settings),
    )
    trainer.train_lengths, trainer.measure = rows.lengths, measure
    keep = begin is not None
    best = keep_best(trainer, network, folder=folder, resume_from=resume_from, keep_start=keep, begin=begin)
    happened = asdict(best)
    model.eval()
    if settings.method == "lora":
        sample = rows.collate(rows.rows[:4])
        del sample["labels"]
        happened["merge_difference"] = merge_adapters(model, sample)
    return happened | {"seconds": time.monotonic() - began}


class _RowsTrainer(Measured, Trainer):  # type: ignore[misc]
    """Trainer in our order of examples, with our measure."""
