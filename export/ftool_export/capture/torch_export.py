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

from ftool_export.errors import ExportError

OPSET: Final = 20  # the first with Gelu
OUTPUT: Final = "logits"
BATCH, SEQUENCE = "batch", "sequence"  # the names of the dynamic axes

Attention = Literal["fused", "plain"]
Caches = Literal["in_place", "joined"]


@dataclass(frozen=True, slots=True)
class GraphContract:
    """The inputs, outputs and fused operators that a graph must have after each stage of an export.

    Attributes:
        inputs: the dynamic axes of each input, in the order of the inputs.
        outputs: the names of the outputs, in order.
        operators: the number of fused attentions, by operator.
        dynamic: the dynamic axes of the first output.
        width: the size of the first output's last axis, which follows the dynamic ones; None if it is not checked.
    """

    inputs: Mapping[str, tuple[int, ...]]
    outputs: tuple[str, ...]
    operators: Mapping[str, int] = field(default_factory=dict)
    dynamic: tuple[int, ...] = (0,)
    width: int | None = None


@dataclass(frozen=True, slots=True)
class Captured:
    """A model's graphs as the exporter returns them, without optional inputs that nothing reads.

    Attributes:
        models: the graphs: "model", or "encoder" and "decoder", or only "decoder".
        contracts: the structure that each graph must keep at every later stage.
        attention: "fused" if each attention is one operator, "plain" if it is the architecture's own operators.
        caches: of decoders: "in_place" (static: operators append to them) or "joined" (concatenated with new keys and
            values); None for encoders.
    """

    models: Mapping[str, ir.Model]
    contracts: Mapping[str, GraphContract]
    attention: Attention
    caches: Caches | None = None


@dataclass(slots=True)
class Signature:
    """The inputs of a graph, with an example of each, from which a network is traced.

    Sizes of the examples become constants of the graph on all axes but the dynamic ones. These must be 2 or more in the
    examples, as torch.export takes 0 and 1 for constants; axes with one name have one size.
    """

    _values: list[Any] = field(default_factory=list)  # the arguments of the network's forward, in order
    _shapes: list[Any] = field(default_factory=list)  # of each argument, as torch.export takes them
    _dims: dict[str, Any] = field(default_factory=dict)  # by the axis's name
    _axes: dict[str, tuple[int, ...]] = field(default_factory=dict)  # the dynamic ones, by the input's name
    _optional: set[str] = field(default_factory=set)

    def add(self, name: str, example: Tensor, axes: Mapping[int, str], *, optional: bool = False) -> None:
        """Add an input that is one argument of the forward.

        Args:
            name: the input's name.
            example: a tensor of its dtype.
            axes: the names of its dynamic axes.
            optional: whether the graph may leave the input out if nothing reads it.
        """
        self._values.append(example)
        self._shapes.append(self._dynamic(axes))
        self._axes[name] = tuple(axes)
        if optional:
            self._optional.add(name)

    def add_tuple(self, names: Sequence[str], examples: Sequence[Tensor], axes: Mapping[int, str]) -> None:
        """Add inputs that together are one argument of the forward, a tuple, and have the same dynamic axes."""
        self._values.append(tuple(examples))
        self._shapes.append(tuple(self._dynamic(axes) for _ in examples))
        self._axes |= dict.fromkeys(names, tuple(axes))

    def trace(self, network: nn.Module, outputs: Sequence[str]) -> tuple[ir.Model, GraphContract]:
        """Trace `network`, which must be in evaluation mode, once.

        Returns:
            The graph with outputs of these names, and its contract, without operators.

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
            reason = str(error.__cause__ or error).strip().splitlines()[0]
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
    """Silence the exporter's many warnings about its own internals; it reports failures by exceptions."""
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
