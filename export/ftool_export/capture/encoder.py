"""From a torch encoder to an ONNX graph: one trace, dynamic in batch and length."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

import onnx_ir as ir
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ftool_export.capture.attention import attention_at_the_source
from ftool_export.errors import ExportError

log = logging.getLogger(__name__)

OPSET: Final = 20  # the first with Gelu
OUTPUT: Final = "logits"
BATCH, SEQUENCE = "batch", "sequence"  # the names of the dynamic axes

# torch.export takes sizes 0 and 1 for constants; 2 and 9 stay symbols.
_TRACED_BATCH, _TRACED_LENGTH = 2, 9

Attention = Literal["fused", "plain"]


@dataclass(frozen=True, slots=True)
class Capture:
    """A captured graph.

    Attributes:
        model: inputs int64 (batch, sequence), output "logits" float32 (batch, width) or (batch, sequence, width), with
            batch and sequence dynamic.
        attention: "fused", each attention one operator, or "plain", as the architecture spells it out.
        attention_nodes: how many attention operators were emitted; 0 for "plain".
    """

    model: ir.Model
    attention: Attention
    attention_nodes: int


def capture(model: nn.Module, input_names: Sequence[str], vocabulary: int) -> Capture:
    """Capture `model`, which must be in eval mode; it is left as it was.

    Args:
        model: forward(input_ids, attention_mask, token_type_ids=None) -> logits.
        input_names: the graph's inputs, a prefix of the forward's.
        vocabulary: token ids of the trace are below this.

    Raises:
        ExportError: the exporter can't capture the model.
    """
    if any(part.training for part in model.modules()):
        raise ExportError("the model is in training mode, so dropout would be exported: call .eval() first")
    with attention_at_the_source(model) as emitted, _without_cache(model):
        graph = _export(model, input_names, vocabulary)
    nodes = sum(node.op_type == "MultiHeadAttention" for node in graph.graph)
    log.info("captured %d nodes, %d fused attentions", graph.graph.num_nodes(), nodes)
    return Capture(graph, "fused" if emitted.nodes else "plain", nodes)


def _export(model: nn.Module, input_names: Sequence[str], vocabulary: int) -> ir.Model:
    axes = {0: torch.export.Dim(BATCH), 1: torch.export.Dim(SEQUENCE)}
    inputs = _traced_inputs(input_names, vocabulary)
    return export_graph(model, inputs, input_names, [OUTPUT], tuple(axes for _ in input_names))


def export_graph(
    model: nn.Module,
    inputs: tuple[Any, ...],
    input_names: Sequence[str],
    output_names: Sequence[str],
    dynamic_shapes: tuple[Any, ...],
) -> ir.Model:
    """One trace of `model` on `inputs`.

    Args:
        model: in evaluation mode.
        inputs: what its forward takes, in order.
        input_names: a name for every tensor among the inputs.
        output_names: a name for every tensor of the result.
        dynamic_shapes: by input, as torch.export takes them.

    Raises:
        ExportError: PyTorch's exporter can't capture the model.
    """
    try:
        with quiet_exporter():
            program = torch.onnx.export(
                model,
                inputs,
                dynamo=True,
                opset_version=OPSET,
                input_names=list(input_names),
                output_names=list(output_names),
                dynamic_shapes=dynamic_shapes,
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise ExportError(f"PyTorch's exporter can't capture {type(model).__name__}: {reason}") from error
    assert program is not None
    return program.model


def _traced_inputs(names: Sequence[str], vocabulary: int) -> tuple[Tensor, ...]:
    shape = (_TRACED_BATCH, _TRACED_LENGTH)
    ids = torch.randint(0, vocabulary, shape, generator=torch.Generator().manual_seed(0))
    values = {
        "input_ids": ids,
        "attention_mask": torch.ones(shape, dtype=torch.int64),
        "token_type_ids": torch.zeros(shape, dtype=torch.int64),
    }
    return tuple(values[name] for name in names)


@contextmanager
def _without_cache(model: nn.Module) -> Iterator[None]:
    """Decoders build a key-value cache by default, which one forward pass has no use for."""
    configs = [part.config for part in model.modules() if isinstance(part, PreTrainedModel)]
    caching = [config for config in configs if getattr(config, "use_cache", False)]
    for config in caching:
        config.use_cache = False
    try:
        yield
    finally:
        for config in caching:
            config.use_cache = True


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """The exporter warns of its own internals, at length; what went wrong arrives as an exception."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
