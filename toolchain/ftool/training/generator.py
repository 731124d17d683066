"""Train generators: Seq2SeqTrainer for encoder-decoders, TRL's SFTTrainer for decoders."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Seq2SeqTrainer, Seq2SeqTrainingArguments, Trainer, TrainingArguments

from ftool.evaluation.generation_split import GenerationSplit
from ftool.recipe.sections import SCRATCH, Sections
from ftool.training.batches import PairRows, decoder_dataset
from ftool.training.generator_rows import TokenRow
from ftool.training.loop import SCORE, Measured, callbacks
from ftool.training.lora import merged, with_adapters
from ftool.training.objective import SAMPLE, Objective
from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_export.checkpoints.generator_inference import decode, generate_tokens, score_tokens


class GeneratorObjective(Objective):
    """Cross-entropy of the correct answers' tokens; the metric on a validation sample selects the weights."""

    def __init__(
        self,
        loaded: LoadedGenerator,
        rows: Sequence[TokenRow],
        validation: GenerationSplit,
        recipe: Sections,
    ) -> None:
        assert recipe.train.metric is not None, "the task's row has one"
        self.loaded, self.settings = loaded, recipe.train
        self.keep_start = not recipe.base.startswith(SCRATCH)
        self._rows, self._metric = rows, str(recipe.train.metric)
        self._validation = validation.sample(recipe.train.evaluation_examples)
        self._trained: Any = loaded.model

    @property
    def lengths(self) -> Sequence[int]:
        """The number of tokens of each training row."""
        return [len(row) for row in self._rows]

    def network(self) -> nn.Module:
        """Return the model, with adapters if the settings ask for them."""
        model: Any = self.loaded.model
        if self.settings.method == "lora":
            output = model.get_output_embeddings()
            model = with_adapters(model, self.settings, leave_out=lambda _, module: module is output)
        self._trained = model
        network: nn.Module = model
        return network

    def trainer(self, network: nn.Module, arguments: Mapping[str, Any]) -> Any:
        """Return Seq2SeqTrainer for an encoder-decoder; for a decoder SFTTrainer, or Trainer if labels are smoothed."""
        settings = self.settings
        changed = {
            **arguments,
            "label_smoothing_factor": settings.label_smoothing,
            "optim": {"adamw": "adamw_torch_fused", "adafactor": "adafactor"}[settings.optimizer],
        }
        shared = {"model": network, "callbacks": callbacks(settings)}
        if self.loaded.family == "encoder-decoder":
            pairs = PairRows(self.loaded, self._rows)
            return _PairTrainer(
                args=Seq2SeqTrainingArguments(**changed),
                train_dataset=pairs,
                eval_dataset=pairs,
                data_collator=pairs.collate,
                **shared,
            )
        return _decoder_trainer(self.loaded, self._rows, changed, shared)

    def measure(self, network: Any) -> dict[str, float]:
        """Return loss, token accuracy and main metric on validation; answers are generated greedily, for speed."""
        now = replace(self.loaded, model=network)
        found = self._validation.token_metrics(partial(score_tokens, now))
        if self._metric not in found:
            texts, _ = self._validation.text_metrics(
                lambda rows: decode(now, generate_tokens(now, rows, num_beams=1))
            )
            found |= texts
        return {
            "loss": math.log(found["perplexity"]),  # nats per token
            "token_accuracy": found["token_accuracy"],
            SCORE: float(found[self._metric]),
        }

    def merge(self, network: Any) -> float:
        """Merge adapters into the weights; return the largest change of the outputs for a few training rows."""
        self._without_hooks()
        self._trained, difference = merged(network, _logits_of(self.loaded, self._rows[:SAMPLE]))
        return difference

    def finish(self) -> LoadedGenerator:
        """Return the generator in evaluation mode."""
        self._without_hooks()
        return replace(self.loaded, model=self._trained.eval())

    def _without_hooks(self) -> None:
        for module in self._trained.modules():
            module.__dict__.pop("forward", None)  # TRL sets its own, which other callers must not get


class _PairTrainer(Measured, Seq2SeqTrainer):  # type: ignore[misc]
    """Seq2SeqTrainer with the order of rows and the validation of `Measured`."""


class _SmoothingTrainer(Measured, Trainer):  # type: ignore[misc]
    """Trainer for decoders with label smoothing, used because TRL's trainer would compute every batch twice."""


def _decoder_trainer(
    loaded: LoadedGenerator, rows: Sequence[TokenRow], arguments: dict[str, Any], shared: dict[str, Any]
) -> Any:
    from trl import SFTConfig, SFTTrainer  # seconds to import
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    data = decoder_dataset(rows)
    shared |= {
        "train_dataset": data,
        "eval_dataset": data,
        "data_collator": DataCollatorForLanguageModeling(pad_token_id=loaded.tokenizer.pad_token_id),
    }
    if arguments["label_smoothing_factor"]:
        return _SmoothingTrainer(args=TrainingArguments(**arguments), **shared)

    class AnswerTrainer(Measured, SFTTrainer):  # type: ignore[misc]
        """TRL's SFTTrainer for rows that are already tokenised."""

        def create_model_card(self, *_: Any, **__: Any) -> None:
            """Do nothing, so that checkpoints contain no model card."""

    config = SFTConfig(**arguments, max_length=None, dataset_kwargs={"skip_prepare_dataset": True})
    return AnswerTrainer(args=config, processing_class=loaded.tokenizer, **shared)


def _logits_of(loaded: LoadedGenerator, rows: Sequence[TokenRow]) -> Callable[[nn.Module], Tensor]:
    def logits(model: nn.Module) -> Tensor:
        scored = score_tokens(
            replace(loaded, model=model), [row.given for row in rows], [row.answer for row in rows]
        )
        return torch.cat([torch.from_numpy(one) for one in scored])

    return logits
