"""Training a generator's weights, or adapters: Seq2SeqTrainer for encoder-decoders, TRL's SFTTrainer for decoders."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, Seq2SeqTrainer, Seq2SeqTrainingArguments, Trainer, TrainingArguments

from ftool.recipe.sections import TrainSettings
from ftool.training.generator_rows import TokenRow
from ftool.training.loop import FinetuneResult, Measure, Measured, callbacks, keep_best, trainer_arguments
from ftool.training.token_batches import PairRows, joined
from ftool_export.checkpoints.generator import LoadedGenerator


def finetune_generator(
    loaded: LoadedGenerator,
    model: PreTrainedModel,
    rows: Sequence[TokenRow],
    settings: TrainSettings,
    *,
    measure: Measure,
    folder: Path,
    resume_from: Path | None,
    keep_start: bool,
) -> FinetuneResult:
    """Train `model` in place, with checkpoints in `folder`, and leave in it the weights that scored best.

    Args:
        loaded: what `model` came from: its tokenizer, and what answers begin from.
        model: the network, or the network with adapters.
        rows: the training examples.
        settings: the recipe's.
        measure: takes a model in evaluation mode and gives at least "score" and "loss".
        folder: where checkpoints go.
        resume_from: the checkpoint to go on from.
        keep_start: whether the weights that were handed in are among those to choose from.

    Raises TrainingError where the loss is no longer a number.
    """
    trainer = _trainer(loaded, model, rows, settings, folder)
    trainer.train_lengths = [len(row) for row in rows]
    trainer.measure = measure
    result = keep_best(trainer, model, folder=folder, resume_from=resume_from, keep_start=keep_start)
    for module in model.modules():
        module.__dict__.pop("forward", None)  # TRL's own, which no other caller may meet
    return result


class _PairTrainer(Measured, Seq2SeqTrainer):  # type: ignore[misc]
    """Of encoder-decoders."""


class _JoinedTrainer(Measured, Trainer):  # type: ignore[misc]
    """Of decoders with label smoothing, for which TRL would compute every batch twice."""


def _trainer(
    loaded: LoadedGenerator,
    model: PreTrainedModel,
    rows: Sequence[TokenRow],
    settings: TrainSettings,
    folder: Path,
) -> Any:
    arguments = trainer_arguments(settings, len(rows), folder) | {
        "activation_checkpointing": settings.gradient_checkpointing,
        "label_smoothing_factor": settings.label_smoothing,
        "optim": {"adamw": "adamw_torch_fused", "adafactor": "adafactor"}[settings.optimizer],
    }
    shared = {"model": model, "callbacks": callbacks(settings)}
    if loaded.family == "encoder-decoder":
        pairs = PairRows(loaded, rows)
        made = Seq2SeqTrainingArguments(**arguments)
        return _PairTrainer(
            args=made, train_dataset=pairs, eval_dataset=pairs, data_collator=pairs.collate, **shared
        )
    return _decoder_trainer(loaded, rows, arguments, shared)


def _decoder_trainer(
    loaded: LoadedGenerator, rows: Sequence[TokenRow], arguments: dict[str, Any], shared: dict[str, Any]
) -> Any:
    from trl import SFTConfig, SFTTrainer  # seconds to import
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    data = joined(rows)
    shared |= {
        "train_dataset": data,
        "eval_dataset": data,
        "data_collator": DataCollatorForLanguageModeling(pad_token_id=loaded.tokenizer.pad_token_id),
    }
    if arguments["label_smoothing_factor"]:
        return _JoinedTrainer(args=TrainingArguments(**arguments), **shared)

    class AnswerTrainer(Measured, SFTTrainer):  # type: ignore[misc]
        """SFTTrainer on rows that are tokens already."""

        def create_model_card(self, *_: Any, **__: Any) -> None:
            """Checkpoints of an unfinished run need none."""

    config = SFTConfig(**arguments, max_length=None, dataset_kwargs={"skip_prepare_dataset": True})
    return AnswerTrainer(args=config, processing_class=loaded.tokenizer, **shared)
