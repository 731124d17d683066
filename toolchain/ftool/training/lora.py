"""Low-rank adapters on the encoder (Hu et al. 2021, by peft), and their merge into its weights."""

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from ftool.recipe import TrainSettings
from ftool_export.classifier import SequenceClassifier

from .errors import TrainingError

_MERGE_TOLERANCE = 1e-4  # on logits, relative to the largest: float32 sums in another order


def add_adapters(model: SequenceClassifier, settings: TrainSettings) -> None:
    """Freeze the encoder and put an adapter beside each of its linear layers; the head stays trainable."""
    head = model.head
    targets = [
        name
        for name, module in model.encoder.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and module is not head and not name.startswith("pooler")
    ]
    if not targets:
        raise TrainingError(
            f"{type(model.encoder).__name__} has no linear layers for LoRA; set train.method to full"
        )
    config = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=targets,
        fan_in_fan_out=any(isinstance(m, Conv1D) for m in model.encoder.modules()),
    )
    model.encoder = get_peft_model(model.encoder, config)
    head.requires_grad_(True)


def merge_adapters(model: SequenceClassifier, sample: dict[str, Tensor]) -> float:
    """Fold the adapters into the encoder's weights; the largest change of `sample`'s logits by it.

    `sample` is a batch of the network's inputs. Raises TrainingError where the merge changes the network.
    """
    before = _logits(model, sample)
    model.encoder = model.encoder.merge_and_unload()  # type: ignore[operator]
    after = _logits(model, sample)
    difference = float((after - before).abs().max())
    if difference > _MERGE_TOLERANCE * max(1.0, float(before.abs().max())):
        raise TrainingError(
            f"merging the LoRA adapters changed logits by {difference:.2g}; please report this"
        )
    model.requires_grad_(True)
    return difference


def _logits(model: SequenceClassifier, sample: dict[str, Tensor]) -> Tensor:
    model.eval()
    with torch.inference_mode():
        logits: Tensor = model(**sample)
    return logits.clone()
