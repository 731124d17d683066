"""Low-rank adapters (LoRA, Hu et al. 2021, from peft) for linear layers, and merging them into the weights."""

from collections.abc import Callable
from typing import Any

from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from ftool.errors import TrainingError
from ftool.recipe.sections import TrainSettings
from ftool_export.checkpoints.adapters import merge
from ftool_export.networks.encoder import EncoderNetwork


def with_adapters(
    network: nn.Module, settings: TrainSettings, *, leave_out: Callable[[str, nn.Module], bool]
) -> Any:
    """Return `network` frozen, with an adapter for each linear layer that is not left out.

    `leave_out` takes a layer's name and module, and returns whether to leave the layer out. Raises TrainingError if no
    linear layer remains.
    """
    targets = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and not leave_out(name, module)
    ]
    if not targets:
        raise TrainingError(
            f"{type(network).__name__} has no linear layers for LoRA; set train.method to full"
        )
    config = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=targets,
        fan_in_fan_out=any(isinstance(m, Conv1D) for m in network.modules()),
    )
    return get_peft_model(network, config)


def merged(adapted: Any, logits: Callable[[nn.Module], Tensor]) -> tuple[nn.Module, float]:
    """Return the network with its adapters merged into its weights, and the largest change of the logits.

    `logits` runs a network on a few inputs and returns the logits. Raises CheckpointError if the merge changes the
    logits beyond rounding.
    """
    network, difference = merge(adapted, logits)
    network.requires_grad_(True)
    return network, difference


def add_adapters(model: EncoderNetwork, head: nn.Module | None, settings: TrainSettings) -> None:
    """Freeze the encoder of `model` and add adapters to it; `head`, if any, gets no adapter and stays trainable."""
    model.encoder = with_adapters(
        model.encoder,
        settings,
        leave_out=lambda name, module: module is head or name.startswith("pooler"),
    )
    if head is not None:
        head.requires_grad_(True)


def merge_adapters(model: EncoderNetwork, sample: dict[str, Tensor]) -> float:
    """Merge the encoder's adapters; return the largest change of the outputs for `sample`, a batch of inputs.

    Raises CheckpointError if the merge changes the outputs beyond rounding.
    """
    device = next(model.parameters()).device
    sample = {name: value.to(device) for name, value in sample.items()}

    def outputs(encoder: nn.Module) -> Tensor:
        model.encoder = encoder
        model.eval()
        answer: Tensor = model(**sample)
        return answer

    model.encoder, difference = merged(model.encoder, outputs)
    model.requires_grad_(True)
    return difference
