"""What every stage of an export must show before the next begins. A stage that can't show it fails the export."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir

from ftool_export.capture.encoder import OUTPUT
from ftool_export.errors import ExportError, GuardError
from ftool_export.graph.probes import Probe
from ftool_export.graph.session import GraphSession
from ftool_export.passes.matching import constant_matmuls, layers

FP32_TOLERANCE: Final = 1e-4  # on a logit; sums in another order differ by 1e-6 or so a layer
# Of the logits' length. Quantisation noise is a few percent; a wrong scale or a swapped axis is at 1 and beyond.
QUANTIZED_TOLERANCE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Expectation:
    """What holds of the graph at every stage.

    Attributes:
        input_names: the inputs, all with dynamic batch and length.
        width: how many numbers a row, or a token, gets.
        attention_nodes: how many fused attention operators there are; 0 on the plain path.
        per_token: whether every token gets them.
    """

    input_names: tuple[str, ...]
    width: int
    attention_nodes: int
    per_token: bool = False


def check_structure(stage: str, model: ir.Model, expected: Expectation) -> None:
    """Raise GuardError unless the graph has nodes, its inputs, dynamic axes, its output and its fused operators."""
    graph = model.graph
    if graph.num_nodes() == 0:
        raise GuardError(stage, "the graph is empty")
    names = tuple(value.name for value in graph.inputs)
    if names != expected.input_names:
        raise GuardError(stage, f"the graph takes {listed(names)} instead of {listed(expected.input_names)}")
    for value in graph.inputs:
        check_dynamic(stage, value, axes=(0, 1))
        if not list(value.uses()):
            raise GuardError(stage, f"nothing reads the input {value.name}")
    _check_output(stage, graph, expected)
    found = count_operators(model)["MultiHeadAttention"]
    if found != expected.attention_nodes:
        raise GuardError(stage, f"{found} fused attentions where {expected.attention_nodes} were emitted")


def check_answers(stage: str, model: ir.Model, probes: Sequence[Probe], *, quantized: bool) -> float:
    """Load the graph, run every probe, and compare with torch.

    Returns:
        The largest difference of an output from torch's, over all probes.

    Raises:
        GuardError: the graph does not load or run, or differs from torch by more than the tolerance.
    """
    try:
        session = GraphSession(model)
    except ExportError as error:
        raise GuardError(stage, str(error)) from error
    largest = 0.0
    for probe in probes:
        outputs = _run(stage, session, probe)
        difference = probe.difference(outputs)
        largest = max(largest, difference)
        _check_difference(stage, probe, outputs, difference, quantized)
    return largest


def check_quantized(stage: str, model: ir.Model, operator: str, wanted: int) -> None:
    """Raise GuardError unless as many products became `operator` as were wanted."""
    found = count_operators(model)[operator]
    if found != wanted:
        raise GuardError(stage, f"{found} products became {operator}, {wanted} were to")


def check_none_missed(stage: str, model: ir.Model, smallest: int, left_out: frozenset[str]) -> None:
    """Raise GuardError where a product with a constant weight of size is in fp32 and was not to be left out."""
    products = [*constant_matmuls(model, smallest), *constant_matmuls(model, smallest, operator="Gemm")]
    missed = [layer for layer in layers(products) if layer not in left_out]
    if missed:
        raise GuardError(stage, f"still in fp32: {listed(missed)}")


def count_operators(model: ir.Model) -> Counter[str]:
    """How often each operator stands in the graph."""
    return Counter(node.op_type for node in model.graph)


def check_dynamic(stage: str, value: ir.Value, axes: Sequence[int]) -> None:
    """Raise GuardError where one of the axes of `value` has a fixed size."""
    for axis in axes:
        if value.shape is None or isinstance(value.shape[axis], int):
            raise GuardError(
                stage, f"axis {axis} of {value.name} is fixed ({value.shape}); it must be dynamic"
            )


def _check_output(stage: str, graph: ir.Graph, expected: Expectation) -> None:
    names = tuple(value.name for value in graph.outputs)
    if names != (OUTPUT,):
        raise GuardError(stage, f"the graph gives {listed(names)} instead of {OUTPUT}")
    output, dynamic = graph.outputs[0], (0, 1) if expected.per_token else (0,)
    rank = len(dynamic) + 1
    if output.shape is None or len(output.shape) != rank or output.shape[rank - 1] != expected.width:
        shape = ("batch", "sequence")[: len(dynamic)]
        raise GuardError(stage, f"the output's shape is {output.shape} instead of {(*shape, expected.width)}")
    check_dynamic(stage, output, axes=dynamic)


def _run(stage: str, session: GraphSession, probe: Probe) -> np.ndarray:
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    try:
        outputs = session.run(probe.feeds)
    except (state.Fail, state.InvalidArgument, state.RuntimeException, state.NotImplemented) as error:
        reason = " ".join(str(error).split())
        raise GuardError(stage, f"the graph can't run {probe.name}: {reason}") from error
    if outputs.shape != probe.outputs.shape or not np.isfinite(outputs[probe.kept]).all():
        raise GuardError(stage, f"{probe.name}: the outputs are not finite numbers {probe.outputs.shape}")
    return outputs


def _check_difference(
    stage: str, probe: Probe, outputs: np.ndarray, difference: float, quantized: bool
) -> None:
    if not quantized:
        if difference > FP32_TOLERANCE:
            raise GuardError(
                stage,
                f"{probe.name}: logits differ from torch by {difference:.1e}, allowed {FP32_TOLERANCE:.0e}",
            )
        return
    if not probe.real:
        return  # what a network says of random tokens need not survive quantisation
    error = probe.relative_error(outputs)
    if error > QUANTIZED_TOLERANCE:
        raise GuardError(
            stage,
            f"{probe.name}: logits are off by {error:.0%} of their size, allowed {QUANTIZED_TOLERANCE:.0%}",
        )


def listed(names: Sequence[str | None]) -> str:
    """The names in a row, for a person."""
    return ", ".join(str(name) for name in names) or "nothing"
