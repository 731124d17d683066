"""Trace a model with PyTorch's exporter, and describe the structure that the resulting graphs must keep."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import onnx_ir as ir
import torch
from torch import Tensor, nn

from ftool_export.checkpoints.files import first_line
from ftool_export.errors import ExportError

OPSET: Final = 20  # the first with Gelu
OUTPUT: Final = "logits"
HIDDEN: Final = "last_hidden_state"  # of the encoder of an encoder-decoder
BATCH, SEQUENCE = "batch", "sequence"  # the names of the dynamic axes

Attention = Literal["fused", "plain"]
Caches = Literal["in_place", "joined"]


@dataclass(frozen=True, slots=True)
class GraphContract:
    """The inputs, outputs and fused operators that a graph must have after each stage of an export.

    Attributes:
        inputs: the names of the inputs, in order, with the indices of each input's dynamic axes.
        outputs: the names of the outputs, in order.
        operators: the number of nodes of each fused attention operator, by the operator's name.
        dynamic: the indices of the first output's dynamic axes.
        width: the size of the first output's last axis, which comes after the dynamic axes; None if it is not checked.
    """

    inputs: Mapping[str, tuple[int, ...]]
    outputs: tuple[str, ...]
    operators: Mapping[str, int] = field(default_factory=dict)
    dynamic: tuple[int, ...] = (0,)
    width: int | None = None


@dataclass(frozen=True, slots=True)
class Captured:
    """A model's graphs as PyTorch's exporter returns them, but without optional inputs that no node reads.

    Attributes:
        models: the graphs by name: "model" for an encoder; "decoder", and "encoder" if there is one, for a generator.
        contracts: the structure that each graph must keep at every later stage.
        attention: "fused" if the attention of each layer is one operator; "plain" if the attention consists of several
            operators, as in the architecture's code.
        caches: "in_place" if operators append to a decoder's caches, "joined" if caches are concatenated with new keys
            and values, None for encoders.
    """

    models: Mapping[str, ir.Model]
    contracts: Mapping[str, GraphContract]
    attention: Attention
    caches: Caches | None = None


@dataclass(slots=True)
class Signature:
    """The inputs of a graph, with an example of each, with which a network is traced.

    On axes that are not dynamic, an example's size becomes a constant of the graph. On dynamic axes, an example's size
    must be 2 or more, because torch.export treats 0 and 1 as constants. Dynamic axes with the same name have the same
    size.
    """

    _values: list[Any] = field(default_factory=list)  # the arguments of the network's forward, in order
    _shapes: list[Any] = field(default_factory=list)  # of each argument, as torch.export takes them
    _dims: dict[str, Any] = field(default_factory=dict)  # by the axis's name
    _axes: dict[str, tuple[int, ...]] = field(default_factory=dict)  # the dynamic ones, by the input's name
    _optional: set[str] = field(default_factory=set)

    def add(self, name: str, example: Tensor, axes: Mapping[int, str], *, optional: bool = False) -> None:
        """Add an input that is one argument of the network's `forward`.

        Args:
            name: the input's name.
            example: a tensor with the input's dtype.
            axes: the names of the input's dynamic axes, by the axes' indices.
            optional: whether the graph may leave the input out if no node reads the input.
        """
        self._values.append(example)
        self._shapes.append(self._dynamic(axes))
        self._axes[name] = tuple(axes)
        if optional:
            self._optional.add(name)

    def add_tuple(self, names: Sequence[str], examples: Sequence[Tensor], axes: Mapping[int, str]) -> None:
        """Add inputs with the same dynamic axes that together form one argument of the network's `forward`, a tuple."""
        self._values.append(tuple(examples))
        self._shapes.append(tuple(self._dynamic(axes) for _ in examples))
        self._axes |= dict.fromkeys(names, tuple(axes))

    def trace(self, network: nn.Module, outputs: Sequence[str]) -> tuple[ir.Model, GraphContract]:
        """Trace `network`, which must be in evaluation mode, with the examples.

        Returns:
            The graph, whose outputs have the names `outputs`, and its contract, in which `operators` is empty.

        Raises:
            ExportError: PyTorch's exporter can't capture the network.
        """
        try:
            with _quiet_exporter():
                program = torch.onnx.export(
                    network,
                    tuple(self._values),
                    dynamo=True,
                    opset_version=OPSET,
                    input_names=list(self._axes),
                    output_names=list(outputs),
                    dynamic_shapes=tuple(self._shapes),
                    verbose=False,
                )
        except torch.onnx.errors.OnnxExporterError as error:
            reason = first_line(error.__cause__ or error)
            raise ExportError(
                f"PyTorch's exporter can't capture {type(network).__name__}: {reason}"
            ) from error
        assert program is not None
        graph = program.model.graph
        for value in [value for value in graph.inputs if value.name in self._optional and not value.uses()]:
            graph.inputs.remove(value)
        taken = {value.name for value in graph.inputs}
        inputs = {name: axes for name, axes in self._axes.items() if name in taken}
        return program.model, GraphContract(inputs, tuple(outputs))

    def _dynamic(self, axes: Mapping[int, str]) -> dict[int, Any]:
        return {axis: self._dims.setdefault(name, torch.export.Dim(name)) for axis, name in axes.items()}


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Within the block, silence the exporter's many warnings about its internals; failures raise exceptions anyway."""
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
