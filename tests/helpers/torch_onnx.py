"""Export a checkpoint to ONNX with torch's exporter alone, as other tools do."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from ftool.tasks.registry import find_task

CLASSIFIER, READER, EMBEDDER = "text-classification", "question-answering", "feature-extraction"
OUTPUTS = {
    CLASSIFIER: ("logits",),
    READER: ("start_logits", "end_logits"),
    EMBEDDER: ("last_hidden_state",),
}


class Named(nn.Module):
    """A network whose arguments are the graph's inputs, and whose results are the named outputs."""

    def __init__(
        self, network: nn.Module, inputs: tuple[str, ...], outputs: tuple[str, ...], *, half: bool
    ) -> None:
        super().__init__()
        self.network, self.inputs, self.outputs, self.half_outputs = network, inputs, outputs, half

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        named = dict(zip(self.inputs, given, strict=True))
        named.setdefault("attention_mask", torch.ones_like(given[0]))
        found = self.network(**named)
        values = (found,) if isinstance(found, Tensor) else tuple(found[name] for name in self.outputs)
        return tuple(value.half() for value in values) if self.half_outputs else values


def export(
    checkpoint: Path,
    task: str,
    file: Path,
    *,
    inputs: tuple[str, ...] = ("input_ids", "attention_mask", "token_type_ids"),
    fixed: bool = False,
    dtype: torch.dtype = torch.int64,
    change: Callable[[nn.Module], None] | None = None,
    half: bool = False,
) -> Path:
    """Export a checkpoint's network to ONNX with torch's exporter alone."""
    outputs, whole = OUTPUTS[task], find_task(task).load(checkpoint).model
    network = whole if task == CLASSIFIER else whole.encoder
    if change is not None:
        change(network)
    ones = torch.ones((2, 9), dtype=dtype)
    axes = {name: {0: "batch_size", 1: "sequence_length"} for name in inputs}
    torch.onnx.export(
        Named(network, inputs, outputs, half=half),
        tuple(ones * (name != "token_type_ids") for name in inputs),
        file,
        input_names=list(inputs),
        output_names=list(outputs),
        dynamic_axes=None if fixed else axes | {name: {0: "batch_size"} for name in outputs},
        dynamo=False,
        opset_version=17,
    )
    return file
