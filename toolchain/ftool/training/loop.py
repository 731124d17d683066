"""The parts of Trainer that all fine-tuning shares: arguments, order of rows, validation, best weights."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn
from torch.utils.data import Sampler
from transformers import EarlyStoppingCallback, PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from ftool.recipe.sections import TrainSettings
from ftool.training.batches import SimilarLengths
from ftool.training.checkpoints import MarkComplete
from ftool.training.hardware import device_name, process_count, use_bf16
from ftool.training.progress import ReportProgress
from ftool.training.tracking import place_logs, tracking_arguments
from ftool_export.checkpoints.files import quiet_transformers
from ftool_runtime.folder_swap import disk_errors

log = logging.getLogger(__name__)

# Measures a network, in evaluation mode, on validation; gives at least "loss" and "score".
Measure = Callable[[Any], dict[str, float]]

SCORE = "score"  # the main metric's name within the Trainer
_RANK = "rank"  # selects the best weights: the score, and for equal scores the loss
_TIE = 1e-6  # largest effect of the loss on the rank

_CURVE_POINTS = 10  # training losses recorded per epoch


@dataclass(frozen=True, kw_only=True)
class FinetuneResult:
    """The results of `keep_best`, which leaves the best weights in the network."""

    updates: int
    examples_seen: int
    start_score: float  # the main metric on validation before fine-tuning
    best_score: float
    best_step: int  # 0 if no later weights scored better than those at the start
    loss_curve: tuple[dict[str, float], ...]
    validation_curve: tuple[dict[str, float], ...]


class Measured:
    """A mixin for Trainer classes: an order of rows that a resumed run repeats, and validation by `measure`."""

    train_lengths: Sequence[int]  # of the training examples, in tokens
    order: Sampler[int] | None = None  # of the training examples; None: neighbours have similar lengths
    measure: Measure
    args: TrainingArguments

    def evaluate(self: Any, *_: Any, **__: Any) -> dict[str, float]:
        """Measure the network, and pass the metrics to the log and the callbacks, as Trainer does."""
        network = self.accelerator.unwrap_model(self.model)
        training = network.training
        network.eval()
        found = self.measure(network)
        found[SCORE] = defined(found[SCORE])
        found |= {_RANK: found[SCORE] + _TIE / (1 + found["loss"])}
        metrics = {f"eval_{name}": value for name, value in found.items()}
        network.train(training)
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:  # noqa: ARG002 (Trainer's own)
        return self.order or SimilarLengths(self.train_lengths, self.args.train_batch_size, self.args.seed)


def defined(score: float | None) -> float:
    """Return a score by which weights are selected: 0 for an undefined metric, such as a correlation with constants."""
    return 0.0 if score is None or math.isnan(score) else score


def trainer_arguments(settings: TrainSettings, examples: int, folder: Path) -> dict[str, Any]:
    """Return keyword arguments for TrainingArguments or a subclass, for `examples` training examples."""
    batch_size, learning_rate = settings.batch_size, settings.learning_rate
    accumulation = settings.gradient_accumulation
    if settings.samples == "single":
        # The square-root rule for Adam's learning rate and the batch size (Malladi et al. 2022).
        learning_rate /= math.sqrt(batch_size * accumulation)
        batch_size = accumulation = 1
    updates_per_epoch = math.ceil(examples / (batch_size * accumulation * process_count()))
    interval = math.ceil(updates_per_epoch / settings.evaluations_per_epoch)
    on_cpu = device_name() == "cpu"
    return {
        "output_dir": str(folder.resolve()),
        "num_train_epochs": settings.epochs,
        "per_device_train_batch_size": batch_size,
        "gradient_accumulation_steps": accumulation,
        "learning_rate": learning_rate,
        "weight_decay": settings.weight_decay,
        "warmup_steps": settings.warmup_ratio,
        "lr_scheduler_type": settings.schedule,
        "max_grad_norm": settings.max_grad_norm,
        "bf16": use_bf16(settings.bf16),
        "activation_checkpointing": settings.gradient_checkpointing,
        "seed": settings.seed,
        "eval_strategy": "steps",
        "eval_steps": interval,
        "save_strategy": "steps",
        "save_steps": interval,
        "save_total_limit": None,  # `MarkComplete` deletes checkpoints
        "load_best_model_at_end": True,
        "restore_callback_states_from_checkpoint": True,  # the patience already used by early stopping
        "metric_for_best_model": _RANK,
        "greater_is_better": True,
        "logging_steps": max(1, updates_per_epoch // _CURVE_POINTS),
        "logging_nan_inf_filter": False,
        **tracking_arguments(settings.trackers, folder),
        "disable_tqdm": True,
        "use_cpu": on_cpu,
        "ddp_backend": "gloo" if on_cpu and process_count() > 1 else None,
        "dataloader_pin_memory": not on_cpu,
        "remove_unused_columns": False,
        "label_names": ["labels"],
    }


def callbacks(settings: TrainSettings) -> list[TrainerCallback]:
    """Return callbacks that mark checkpoints as complete and, if the settings ask for early stopping, stop training."""
    patience = settings.early_stopping_patience
    stopping = [EarlyStoppingCallback(early_stopping_patience=patience)] if patience else []
    return [MarkComplete(), *stopping]


def keep_best(
    trainer: Any,
    network: nn.Module,
    *,
    folder: Path,
    resume_from: Path | None,
    keep_start: bool = True,
    begin: Callable[[], None] | None = None,
) -> FinetuneResult:
    """Train, from a checkpoint if there is one, and leave the best weights in `network`.

    Args:
        trainer: a Trainer of a subclass of `Measured`, with `train_lengths` and `measure` set.
        network: the network that `trainer` trains.
        folder: the folder for checkpoints.
        resume_from: the checkpoint to resume from; None for a new run.
        keep_start: whether the initial weights may be kept if no later weights are better.
        begin: called after the initial weights are measured, to change the weights that training starts from.

    Raises TrainingError if the loss becomes NaN or infinite, or the disk is full.
    """
    trainer.remove_callback(PrinterCallback)  # standard output is for results
    place_logs(trainer, folder)
    trainer.add_callback(progress := ReportProgress())
    before = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
    start = trainer.evaluate() if keep_start else {}
    if begin is not None:
        begin()
    with disk_errors(folder), quiet_transformers(), progress:  # transformers shows bars for every checkpoint
        trainer.train(resume_from_checkpoint=None if resume_from is None else str(resume_from))
    step, score, rank = int(trainer.state.best_global_step), f"eval_{SCORE}", f"eval_{_RANK}"
    measured = {entry["step"]: entry for entry in trainer.state.log_history if score in entry}
    best = float(measured[step][score])
    if start and start[rank] >= measured[step][rank]:
        log.info(
            "no later weights score better than the initial %.4f, so the initial weights are kept",
            start[score],
        )
        network.load_state_dict(before)
        best, step = start[score], 0
    network.eval()
    return FinetuneResult(
        updates=trainer.state.global_step,
        examples_seen=round(trainer.state.epoch * len(trainer.train_lengths)),
        start_score=start.get(score, 0.0),
        best_score=best,
        best_step=step,
        loss_curve=_curve(trainer, "loss", "learning_rate"),
        validation_curve=_curve(trainer, "eval_loss", score),
    )


def _curve(trainer: Trainer, first: str, *others: str) -> tuple[dict[str, float], ...]:
    """Return the values that Trainer logged as `first` and `others`, for each update at which all were logged."""
    return tuple(
        {"step": entry["step"]} | {name.removeprefix("eval_"): entry[name] for name in (first, *others)}
        for entry in trainer.state.log_history
        if first in entry and all(name in entry for name in others)
    )
