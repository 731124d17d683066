"""Checks that every stage of an export must pass before the next begins: structure, answers, quantised products."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ftool_export.capture.torch_export import GraphContract
from ftool_export.errors import ExportError, FarFromTorchError, GuardError
from ftool_export.graph.probes import Probe, difference, relative_error
from ftool_export.graph.session import Sessions, open_sessions
from ftool_export.passes.matching import constant_matmuls, layers

FP32_TOLERANCE: Final = 1e-4  # of a logit; another order of summation changes about 1e-6 per layer
# Relative to the logits' norm. Quantisation noise is a few percent; a wrong scale or a swapped axis gives 1 or more.
QUANTIZED_TOLERANCE: Final = 0.5
# Limit, relative to the logits' size, on the change between single and batched that nine in ten tokens must keep.
# Another order of summation sometimes rounds a quantised activation the other way (1e-4 to 3e-3, few tokens). An
# operator that sums differently in a batch, such as 8-bit blocks of 128, changes most tokens by 6e-3 to 3e-2.
QUANTIZED_BATCH_TOLERANCE: Final = 3e-3
# By the name of a fused operator that the capture emits, another one that a pass may put in its place.
_REPLACED_BY: Final = {"MultiHeadAttention": "Attention"}


def check_structure(stage: str, model: ir.Model, contract: GraphContract) -> None:
    """Raise GuardError if the graph is empty or differs from `contract` in inputs, outputs, axes or operators."""
    graph = model.graph
    if graph.num_nodes() == 0:
        raise GuardError(stage, "the graph is empty")
    for verb, values, names in (
        ("takes", graph.inputs, tuple(contract.inputs)),
        ("gives", graph.outputs, contract.outputs),
    ):
        found = tuple(value.name for value in values)
        if found != names:
            raise GuardError(stage, f"the graph {verb} {listed(found)} instead of {listed(names)}")
    for value in graph.inputs:
        assert value.name is not None
        _check_dynamic(stage, value, contract.inputs[value.name])
        if not list(value.uses()):
            raise GuardError(stage, f"nothing reads the input {value.name}")
    _check_output(stage, graph.outputs[0], contract)
    counted = count_operators(model)
    for operator, wanted in contract.operators.items():
        emitted = counted[operator] + counted[_REPLACED_BY.get(operator, "")]
        if emitted != wanted:
            raise GuardError(
                stage, f"the graph has {emitted} {operator}; {wanted} fused attentions were emitted"
            )


def check_answers(
    stage: str, models: Mapping[str, ir.Model], probes: Sequence[Probe], *, quantized: bool
) -> float:
    """Run every probe through the graphs, and compare the outputs with torch's.

    Returns:
        The largest difference between a number in the graphs' outputs and in torch's, over all probes.

    Raises:
        GuardError: a graph does not load or run, or its outputs differ from torch's by more than the tolerance. A
            FarFromTorchError if the graphs are quantised, and their outputs differ.
    """
    sessions = _opened(stage, models)
    largest = 0.0
    for probe in probes:
        outputs = _run(stage, sessions, probe)
        largest = max(largest, difference(probe, outputs))
        _check_difference(stage, probe, outputs, quantized=quantized)
    return largest


def check_quantized(stage: str, model: ir.Model, operator: str, wanted: int) -> None:
    """Raise GuardError unless the graph has `wanted` nodes of `operator`, which replaces matrix products."""
    found = count_operators(model)[operator]
    if found != wanted:
        raise GuardError(stage, f"{found} of {wanted} products became {operator}")


def check_none_missed(stage: str, model: ir.Model, smallest: int, left_out: frozenset[str]) -> None:
    """Raise GuardError if a product with a weight of at least `smallest` elements is still in fp32.

    `left_out` has the names of layers whose products may stay in fp32.
    """
    products = [*constant_matmuls(model, smallest), *constant_matmuls(model, smallest, operator="Gemm")]
    missed = [layer for layer in layers(products) if layer not in left_out]
    if missed:
        raise GuardError(stage, f"still in fp32: {listed(missed)}")


def count_operators(model: ir.Model) -> Counter[str]:
    """Return how many nodes of each operator the graph has."""
    return Counter(node.op_type for node in model.graph)


def listed(names: Sequence[str | None]) -> str:
    """Return the names joined by commas, for a message."""
    return ", ".join(str(name) for name in names) or "nothing"


def _check_dynamic(stage: str, value: ir.Value, axes: Sequence[int]) -> None:
    for axis in axes:
        if value.shape is None or isinstance(value.shape[axis], int):
            raise GuardError(
                stage, f"axis {axis} of {value.name} is fixed ({value.shape}); it must be dynamic"
            )


def _check_output(stage: str, output: ir.Value, contract: GraphContract) -> None:
    rank, width = len(contract.dynamic) + 1, contract.width
    if width is not None and (
        output.shape is None or len(output.shape) != rank or output.shape[rank - 1] != width
    ):
        shape = ("batch", "sequence")[: len(contract.dynamic)]
        raise GuardError(stage, f"the output's shape is {output.shape} instead of {(*shape, width)}")
    _check_dynamic(stage, output, contract.dynamic)


def _opened(stage: str, models: Mapping[str, ir.Model]) -> Sessions:
    try:
        return open_sessions(models)
    except ExportError as error:
        raise GuardError(stage, str(error)) from error


def _run(stage: str, sessions: Sessions, probe: Probe) -> NDArray[np.float32]:
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    try:
        outputs = probe.run(sessions)
    except (state.Fail, state.InvalidArgument, state.RuntimeException, state.NotImplemented) as error:
        reason = " ".join(str(error).split())
        raise GuardError(stage, f"the graph can't run {probe.name}: {reason}") from error
    if outputs.shape != probe.outputs.shape:
        raise GuardError(stage, f"{probe.name}: {outputs.shape} outputs instead of {probe.outputs.shape}")
    if not np.isfinite(outputs[probe.kept]).all():
        raise GuardError(stage, f"{probe.name}: the outputs are not finite numbers")
    return outputs


def _size(probe: Probe) -> float:
    """Return the factor by which tolerances are scaled: the largest absolute value in torch's outputs, at least 1.

    Untrained and unscaled heads can give large outputs, and rounding errors grow with the outputs.
    """
    return max(1.0, float(np.abs(probe.outputs[probe.kept]).max(initial=0.0)))


def _check_difference(stage: str, probe: Probe, outputs: NDArray[np.float32], *, quantized: bool) -> None:
    if not quantized:
        found, allowed = difference(probe, outputs), FP32_TOLERANCE * _size(probe)
        if found > allowed:
            raise GuardError(
                stage, f"{probe.name}: logits differ from torch by {found:.1e}, allowed {allowed:.0e}"
            )
    elif probe.real:  # outputs for random tokens need not survive quantisation
        error = relative_error(probe, outputs)
        if error > QUANTIZED_TOLERANCE:
            raise FarFromTorchError(
                stage,
                f"{probe.name}: logits are off by {error:.0%} of their size, allowed {QUANTIZED_TOLERANCE:.0%}",
            )
