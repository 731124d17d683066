"""What every stage of a generator's export must show before the next begins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ftool_export.errors import ExportError, GuardError
from ftool_export.graph.generator_probes import GenerationProbe
from ftool_export.graph.generator_session import GraphRunner
from ftool_export.graph.guards import (
    FP32_TOLERANCE,
    QUANTIZED_TOLERANCE,
    check_dynamic,
    count_operators,
    listed,
)


@dataclass(frozen=True, slots=True)
class GraphContract:
    """What holds of a graph at every stage.

    Attributes:
        inputs: the axes that must be dynamic, by input, in the inputs' order.
        outputs: their names, in order.
        operators: how many fused attentions there are, by operator.
    """

    inputs: Mapping[str, tuple[int, ...]]
    outputs: tuple[str, ...]
    operators: Mapping[str, int]


def check_graph(stage: str, model: ir.Model, expected: GraphContract) -> None:
    """Raise GuardError unless the graph has nodes, its inputs, dynamic axes, outputs and fused operators."""
    graph = model.graph
    if graph.num_nodes() == 0:
        raise GuardError(stage, "the graph is empty")
    for kind, values, names in (
        ("takes", graph.inputs, tuple(expected.inputs)),
        ("gives", graph.outputs, expected.outputs),
    ):
        found = tuple(value.name for value in values)
        if found != names:
            raise GuardError(stage, f"the graph {kind} {listed(found)} instead of {listed(names)}")
    for value in graph.inputs:
        assert value.name is not None
        check_dynamic(stage, value, expected.inputs[value.name])
        if not list(value.uses()):
            raise GuardError(stage, f"nothing reads the input {value.name}")
    check_dynamic(stage, graph.outputs[0], axes=(0,))
    counted = count_operators(model)
    for operator, wanted in expected.operators.items():
        if counted[operator] != wanted:
            raise GuardError(stage, f"{counted[operator]} {operator} where {wanted} were emitted")


def check_generation(
    stage: str,
    encoder: ir.Model | None,
    decoder: ir.Model,
    probes: Sequence[GenerationProbe],
    *,
    quantized: bool,
) -> float:
    """Load the graphs, run every probe, and compare with torch.

    Returns:
        The largest difference of a logit from torch's, over all probes.

    Raises:
        GuardError: a graph does not load or run, or differs from torch by more than the tolerance.
    """
    try:
        runner = GraphRunner(encoder, decoder)
    except ExportError as error:
        raise GuardError(stage, str(error)) from error
    largest = 0.0
    for probe in probes:
        logits = _run(stage, runner, probe)
        largest = max(largest, float(np.abs(logits - probe.logits).max()))
        _check_difference(stage, probe, logits, quantized=quantized)
    return largest


def _run(stage: str, runner: GraphRunner, probe: GenerationProbe) -> NDArray[np.float32]:
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    try:
        logits = probe.run(runner)
    except (state.Fail, state.InvalidArgument, state.RuntimeException, state.NotImplemented) as error:
        reason = " ".join(str(error).split())
        raise GuardError(stage, f"the graphs can't run {probe.name}: {reason}") from error
    if logits.shape != probe.logits.shape or not np.isfinite(logits).all():
        raise GuardError(stage, f"{probe.name}: the logits are not finite numbers {probe.logits.shape}")
    return logits


def _check_difference(
    stage: str, probe: GenerationProbe, logits: NDArray[np.float32], *, quantized: bool
) -> None:
    if not quantized:
        difference = float(np.abs(logits - probe.logits).max())
        # untrained or unscaled heads give logits of any size, and their rounding grows with them
        allowed = FP32_TOLERANCE * max(1.0, float(np.abs(probe.logits).max()))
        if difference > allowed:
            raise GuardError(
                stage, f"{probe.name}: logits differ from torch by {difference:.1e}, allowed {allowed:.0e}"
            )
        return
    if not probe.texts:
        return  # what a network says of random tokens need not survive quantisation
    error = float(np.linalg.norm(logits - probe.logits)) / max(float(np.linalg.norm(probe.logits)), 1e-12)
    if error > QUANTIZED_TOLERANCE:
        raise GuardError(
            stage,
            f"{probe.name}: logits are off by {error:.0%} of their size, allowed {QUANTIZED_TOLERANCE:.0%}",
        )
