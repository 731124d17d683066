"""Trace a model with PyTorch's exporter, and describe the structure that the resulting graphs must keep."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

import onnx_ir as ir
import torch
from torch import nn

from ftool_export.errors import ExportError

OPSET: Final = 20  # the first with Gelu
OUTPUT: Final = "logits"
BATCH, SEQUENCE = "batch", "sequence"  # the names of the dynamic axes

Attention = Literal["fused", "plain"]
Caches = Literal["in_place", "joined"]


@dataclass(frozen=True, slots=True)
class GraphContract:
    """The inputs, outputs and fused operators that a graph must have after every stage of the export.

    Attributes:
        inputs: for each input, in order, the axes that must be dynamic.
        outputs: the names of the outputs, in order.
        operators: the number of fused attentions, by operator.
        dynamic: the axes of the first output that must be dynamic.
        width: the size of the first output's last axis, which comes after the dynamic ones; None if it is not checked.
    """

    inputs: Mapping[str, tuple[int, ...]]
    outputs: tuple[str, ...]
    operators: Mapping[str, int]
    dynamic: tuple[int, ...] = (0,)
    width: int | None = None


@dataclass(frozen=True, slots=True)
class Captured:
    """A model's graphs as the exporter leaves them, without the inputs that nothing reads.

    Attributes:
        models: the graphs by name: "model" for an encoder, otherwise "decoder", with "encoder" if there is one.
        contracts: the structure that each graph must keep at every later stage.
        attention: "fused" if each attention is one operator, "plain" if it is the architecture's own operators.
        caches: for decoders "in_place" (operators append to buffers) or "joined" (concatenated); None for encoders.
    """

    models: Mapping[str, ir.Model]
    contracts: Mapping[str, GraphContract]
    attention: Attention
    caches: Caches | None = None


def export_graph(
    model: nn.Module,
    inputs: tuple[Any, ...],
    input_names: Sequence[str],
    output_names: Sequence[str],
    dynamic_shapes: tuple[Any, ...],
) -> ir.Model:
    """Trace `model` on `inputs` and return the graph.

    Args:
        model: in evaluation mode.
        inputs: the arguments of its forward, in order.
        input_names: a name for every tensor in the inputs.
        output_names: a name for every tensor in the result.
        dynamic_shapes: for each input, its dynamic axes, in the form of torch.export.

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


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Silence the exporter's many warnings about its own internals; failures still arrive as exceptions."""
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
