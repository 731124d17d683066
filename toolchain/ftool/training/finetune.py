"""Fine-tuning a classifier's weights, or adapters, by transformers' Trainer, from a head that is trained already."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
from torch import Tensor, nn
from transformers import Trainer, TrainingArguments

from ftool.recipe import TrainSettings
from ftool_export.classifier import SequenceClassifier

from .examples import TokenizedTexts
from .loop import SCORE, FinetuneResult, LikeLengthOrder, callbacks, curve, run, silence, trainer_arguments
from .losses import ClassificationLoss

__all__ = ["FinetuneResult", "TrainedNetwork", "finetune"]

log = logging.getLogger(__name__)


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
    trainer = _ClassifierTrainer(
        model=network,
        args=TrainingArguments(**trainer_arguments(settings, len(train), folder)),
        train_dataset=train,
        eval_dataset=validation,
        data_collator=train.collate,
        compute_metrics=lambda prediction: {SCORE: score(prediction.predictions)},
        callbacks=callbacks(settings),
    )
    trainer.train_lengths = train.lengths
    silence(trainer)
    start_score = float(trainer.evaluate()[f"eval_{SCORE}"])
    network.model.head.load_state_dict(start_head)
    run(trainer, folder, resume_from)
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
        loss_curve=curve(trainer, "loss", "learning_rate"),
        validation_curve=curve(trainer, "eval_loss", f"eval_{SCORE}"),
    )


class _ClassifierTrainer(LikeLengthOrder, Trainer):  # type: ignore[misc]
    """Trainer in our order of examples."""
