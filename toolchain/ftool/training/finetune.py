"""Fine-tuning all weights, or adapters, by transformers' Trainer, from a head that is trained already."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor, nn
from torch.utils.data import Sampler
from transformers import (
    EarlyStoppingCallback,
    PrinterCallback,
    Trainer,
    TrainingArguments,
)

from ftool.recipe import TrainSettings
from ftool_export.classifier import SequenceClassifier
from ftool_export.disk import disk_errors

from .checkpoints import MarkComplete
from .distributed import process_count
from .examples import LikeLengths, TokenizedTexts
from .hardware import device_name, use_bf16
from .losses import ClassificationLoss
from .progress import ReportProgress

log = logging.getLogger(__name__)

_SCORE = "score"  # the main metric's name within the Trainer
_CURVE_POINTS = 10  # training losses recorded an epoch
_EVALUATION_BATCH = 64


class TrainedNetwork(nn.Module):
    """A classifier with its loss, in the form that Trainer drives."""

    def __init__(self, model: SequenceClassifier, loss: ClassificationLoss) -> None:
        super().__init__()
        self.model = model
        self.loss = loss

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        labels: Tensor,
        token_type_ids: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The batch's loss, float32 (), and logits, float32 (batch, labels)."""
        logits = self.model(input_ids, attention_mask, token_type_ids).float()
        return {"loss": self.loss(logits, labels), "logits": logits}


@dataclass(frozen=True, kw_only=True)
class FinetuneResult:
    """What fine-tuning did; the network holds the best weights seen."""

    updates: int
    examples_seen: int
    start_score: float  # the main metric on validation of the network as it was handed in
    best_score: float
    best_step: int  # 0 where no later weights scored better than those at the start
    loss_curve: tuple[dict[str, float], ...]
    validation_curve: tuple[dict[str, float], ...]


def finetune(
    network: TrainedNetwork,
    train: TokenizedTexts,
    validation: TokenizedTexts,
    settings: TrainSettings,
    *,
    score: Callable[[np.ndarray], float],
    start_head: dict[str, Tensor],
    folder: Path,
    resume_from: Path | None = None,
) -> FinetuneResult:
    """Train `network` in place, with checkpoints in `folder`, and leave in it the weights that scored best.

    Training begins with the head `start_head`; but the weights that were handed in count too, and training that
    never scores better returns them. `score` takes validation's logits, float32 (examples, labels), and gives the
    main metric. Raises TrainingError where the loss is no longer a number.
    """
    before = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
    trainer = _LikeLengthTrainer(
        model=network,
        args=_arguments(settings, len(train), folder),
        train_dataset=train,
        eval_dataset=validation,
        data_collator=train.collate,
        compute_metrics=lambda prediction: {_SCORE: score(prediction.predictions)},
        callbacks=[MarkComplete(), ReportProgress(), *_early_stopping(settings)],
    )
    trainer.remove_callback(PrinterCallback)  # it prints to standard output, which belongs to results
    start_score = float(trainer.evaluate()[f"eval_{_SCORE}"])
    network.model.head.load_state_dict(start_head)
    with disk_errors(folder):
        trainer.train(resume_from_checkpoint=None if resume_from is None else str(resume_from))
    best_score, best_step = float(trainer.state.best_metric), int(trainer.state.best_global_step)
    if best_score <= start_score:
        log.info("no weights beat the head's %.4f, so that is kept", start_score)
        network.load_state_dict(before)
        best_score, best_step = start_score, 0
    return FinetuneResult(
        updates=trainer.state.global_step,
        examples_seen=round(trainer.state.epoch * len(train)),
        start_score=start_score,
        best_score=best_score,
        best_step=best_step,
        loss_curve=_curve(trainer, "loss", "learning_rate"),
        validation_curve=_curve(trainer, "eval_loss", f"eval_{_SCORE}"),
    )


class _LikeLengthTrainer(Trainer):  # type: ignore[misc]
    """Trainer with our sampler, whose order a resumed run can repeat."""

    def _get_train_sampler(self, train_dataset: TokenizedTexts | None = None) -> Sampler[int]:
        dataset = self.train_dataset if train_dataset is None else train_dataset
        return LikeLengths(dataset.lengths, self.args.train_batch_size, self.args.seed)


def _arguments(settings: TrainSettings, examples: int, folder: Path) -> TrainingArguments:
    batch_size, learning_rate = settings.batch_size, settings.learning_rate
    accumulation = settings.gradient_accumulation
    if settings.samples == "single":
        # The square-root rule for Adam's learning rate and the batch size (Malladi et al. 2022).
        learning_rate /= math.sqrt(batch_size * accumulation)
        batch_size = accumulation = 1
    updates_per_epoch = math.ceil(examples / (batch_size * accumulation * process_count()))
    interval = math.ceil(updates_per_epoch / settings.evaluations_per_epoch)
    on_cpu = device_name() == "cpu"
    return TrainingArguments(
        output_dir=str(folder.resolve()),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=batch_size,
        per_device_eval_batch_size=_EVALUATION_BATCH,
        gradient_accumulation_steps=accumulation,
        learning_rate=learning_rate,
        weight_decay=settings.weight_decay,
        warmup_steps=settings.warmup_ratio,
        lr_scheduler_type=settings.schedule,
        max_grad_norm=settings.max_grad_norm,
        bf16=use_bf16(settings.bf16),
        seed=settings.seed,
        eval_strategy="steps",
        eval_steps=interval,
        save_strategy="steps",
        save_steps=interval,
        save_total_limit=2,  # the best and the last
        load_best_model_at_end=True,
        metric_for_best_model=_SCORE,
        greater_is_better=True,
        logging_steps=max(1, updates_per_epoch // _CURVE_POINTS),
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
        use_cpu=on_cpu,
        ddp_backend="gloo" if on_cpu and process_count() > 1 else None,
        dataloader_pin_memory=not on_cpu,
        remove_unused_columns=False,
        label_names=["labels"],
    )


def _early_stopping(settings: TrainSettings) -> list[EarlyStoppingCallback]:
    patience = settings.early_stopping_patience
    return [EarlyStoppingCallback(early_stopping_patience=patience)] if patience else []


def _curve(trainer: Trainer, first: str, *others: str) -> tuple[dict[str, float], ...]:
    """What Trainer logged along the way: one entry for each update at which `first` was."""
    return tuple(
        {"step": entry["step"]} | {name.removeprefix("eval_"): entry[name] for name in (first, *others)}
        for entry in trainer.state.log_history
        if first in entry and all(name in entry for name in others)
    )
