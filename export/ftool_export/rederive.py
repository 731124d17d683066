"""Derive a bundle's graphs from its checkpoint again, and compare the bundle's constants with them.

Quantisation may change answers far more than a damaged weight does, so a comparison with torch's answers can't detect
the damage. Nor do answers depend on the embeddings of tokens that no example contains. But an export is deterministic:
the same checkpoint, precision, smoothing and activation scales give the same graph. See docs/adr/0010.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

import ftool_runtime as ft
from ftool_export.bundle.judged import Models, as_bundle, stored_graphs
from ftool_export.checkpoints.base import LoadedModel
from ftool_export.examples.base import Examples
from ftool_export.foreign.fp32_graph import foreign_source
from ftool_export.passes import PassSettings
from ftool_export.passes.drop_mask import MASK
from ftool_export.passes.half_floats import HalfFloats
from ftool_export.passes.matching import constant_matmuls
from ftool_export.passes.quantize_blocks import BLOCKS, NIBBLES, signed_levels
from ftool_export.passes.quantize_embeddings import BLOCK, ROWS
from ftool_export.passes.quantize_matmul import INT8
from ftool_export.passes.quantize_static import INPUT_SCALE, INPUT_ZERO, InputLevels
from ftool_export.passes.smooth_activations import RECIPROCAL, SMOOTHED
from ftool_export.passes.standard_names import StandardNames
from ftool_export.pipeline import capture_source
from ftool_export.precision_plans import PrecisionPlan, plan_of
from ftool_export.quantization import move_scales, quantize
from ftool_export.report import StoredWeights
from ftool_runtime.bundle.manifest import Manifest

_ANOTHER_PROCESSOR: Final = 2.0**-22  # two units in the last place of a float32
_LARGEST: Final = np.finfo(np.float32)  # masks are the smallest number; further from zero is infinite
_MARGIN: Final = 2.0  # factor on the measured rounding, which is one sample; other samples differed by 5%
_FLOAT32: Final = 1e-6  # relative change from another order of summation
# By the ending of the name of a quantised weight, the bits of integers that are stored without a sign.
_LEVELS: Final = {f".{INT8}": None, f".{BLOCKS}": 8, f".{NIBBLES}": 4, f".{ROWS}": 4}
_FED_BACK: Final = (f".{INT8}", f".{NIBBLES}")  # endings of weights that a plan with feedback rounds with it
_SCALE: Final = ".scale"


@dataclass(frozen=True, slots=True)
class Derived:
    """The graphs derived from a checkpoint, by name, to compare a bundle's graphs with.

    Attributes:
        exact: the graphs in fp32, checked against torch's outputs.
        quantized: the graphs in the bundle's precision, with the bundle's smoothing and the same layers left out.
    """

    exact: Models
    quantized: Models


def derive(
    loaded: LoadedModel,
    manifest: Manifest,
    stored: Models,
    examples: Examples,
    graph: Path | None = None,
) -> Derived:
    """Return the graphs that an export of `loaded` in the bundle's precision makes.

    Args:
        loaded: the checkpoint.
        manifest: the bundle's manifest.
        stored: the bundle's graphs, from which the smoothing multipliers, constant activation scales, and the levels
            that were rounded with error feedback are read.
        examples: inputs of the checkpoint's task.
        graph: the ONNX file of another tool that the bundle was made of; None if the checkpoint was captured.

    Raises:
        ExportError: the checkpoint can't be captured or quantised.
    """
    plan = plan_of(manifest)
    plan = replace(
        plan, drop_mask=plan.drop_mask and MASK not in manifest.input.names
    )  # older bundles kept it
    passes = replace(
        PassSettings.recorded(manifest.evidence.get("quantization"))
        or plan.settings(PassSettings(pooled_token=False)),  # older bundles
        left_out=frozenset(manifest.precision.left_out),
        embedding_bits=manifest.precision.embedding_bits,
        layout=manifest.layout,
        teachable=manifest.teaching is not None,
        in_fp32=frozenset(manifest.precision.in_fp32),
        smoothing={name: found for model in stored.values() for name, found in smoothing_of(model).items()},
        inputs={name: found for model in stored.values() for name, found in input_levels_of(model).items()},
        levels=_levels_of(stored.values()) if plan.feedback else {},
    )
    if graph is None:
        source = capture_source(loaded, examples.inputs, passes)
    else:
        source = foreign_source(graph, loaded, examples.inputs, passes)
    source = move_scales(source, passes)
    return Derived(source.models, quantize(source, plan, passes).models)


def smoothing_of(model: ir.Model) -> dict[str, NDArray[np.float32]]:
    """Return the smoothing multipliers stored in a graph: for the name of each weight, float32 (inputs,)."""
    found = {}
    for name, value in model.graph.initializers.items():
        if name.endswith(RECIPROCAL) and value.const_value is not None:
            found[name.removesuffix(RECIPROCAL)] = value.const_value.numpy()
    return found


def input_levels_of(model: ir.Model) -> dict[str, InputLevels]:
    """Return the levels of products' inputs stored in a graph with constant activation scales, by the weight's name."""
    arrays = _arrays(model)
    names = [name.removesuffix(INPUT_SCALE) for name in arrays if name.endswith(INPUT_SCALE)]
    return {name: InputLevels(arrays[name + INPUT_SCALE], arrays[name + INPUT_ZERO]) for name in names}


def _levels_of(models: Iterable[ir.Model]) -> dict[str, NDArray[Any]]:
    """Return the levels, by name, of weights that may have been rounded with error feedback."""
    arrays = (one for model in models for one in _arrays(model).items())
    return {name: array for name, array in arrays if name.endswith(_FED_BACK)}


def weight_error(stored: ir.Model, exact: ir.Model, fed_back: Collection[str] = ()) -> float:
    """Return the largest difference between a quantised weight and the checkpoint's weight, in quantisation steps.

    Rounding to the nearest step causes a difference of at most half a step. Weights in `fed_back` may have been rounded
    to a neighbour of the nearest step, so one step less counts. The result is infinite if a quantised weight belongs to
    no layer of the checkpoint.

    Args:
        stored: the bundle's graph.
        exact: the checkpoint's graph, in fp32.
        fed_back: the names of levels that were rounded with error feedback.
    """
    arrays, weights = _arrays(stored), _arrays(exact)
    largest = 0.0
    for name, levels in arrays.items():
        ending = next((ending for ending in _LEVELS if name.endswith(ending)), None)
        if ending is None:
            continue
        base = name.removesuffix(ending)
        scale = arrays.get(base + _SCALE)
        reciprocal = arrays.get(base.removesuffix(SMOOTHED) + RECIPROCAL) if base.endswith(SMOOTHED) else None
        weight = weights.get(base.removesuffix(SMOOTHED))
        if scale is None or weight is None or (base.endswith(SMOOTHED) and reciprocal is None):
            return np.inf
        if reciprocal is not None:
            weight = weight / reciprocal[:, None]
        bits = _LEVELS[ending]
        signed = levels if bits is None else signed_levels(levels, bits)
        error = _steps(signed.astype(np.float32), scale, weight, bits)
        largest = max(largest, max(0.0, error - 1) if name in fed_back else error)
    return largest


def fed_back_levels(stored: ir.Model, exact: ir.Model, plan: PrecisionPlan) -> list[str]:
    """Return the names of the quantised weights of products that the plan rounds with error feedback."""
    if not plan.feedback:
        return []
    products = {weight.name for node in constant_matmuls(exact) if (weight := node.inputs[1]) is not None}
    found = []
    for name in stored.graph.initializers:
        ending = next((ending for ending in _FED_BACK if name.endswith(ending)), None)
        if ending is not None and name.removesuffix(ending).removesuffix(SMOOTHED) in products:
            found.append(name)
    return found


def _steps(levels: NDArray[Any], scale: NDArray[Any], weight: NDArray[Any], bits: int | None) -> float:
    """Return the largest difference of the integers `levels` from `weight / scale`; infinite if the shapes differ.

    In 4 bits, a weight outside the range of the integers is represented by the nearest of these.
    """
    if levels.ndim == 3:  # (outputs, blocks, block_size); a table that is also the head is not transposed
        outputs, inputs = levels.shape[0], levels.shape[1] * levels.shape[2]
        both = [side for side in (weight.T, weight) if side.shape[0] == outputs and side.shape[1] <= inputs]
        padded = [np.pad(side, ((0, 0), (0, inputs - side.shape[1]))).reshape(levels.shape) for side in both]
        scale = scale.reshape(*levels.shape[:2], 1)
        found = (side / scale for side in padded)
        return min((_largest(levels, one.clip(-8, 7) if bits == 4 else one) for one in found), default=np.inf)
    if levels.shape != weight.shape:
        return np.inf
    if bits == 4:  # (rows, width); a table's row has a scale for each block
        scale = np.repeat(scale, BLOCK, axis=1)[:, : weight.shape[1]]
        return _largest(levels, (weight / scale).clip(-8, 7))
    return _largest(levels, weight / scale)


def _largest(one: NDArray[Any], other: NDArray[Any]) -> float:
    return float(np.abs(np.subtract(one, other, dtype=np.float32)).max(initial=0.0))


def constant_error(stored: ir.Model, derived: ir.Model) -> float:
    """Return the largest difference between the graphs' float constants, relative to the array's largest value.

    The result is infinite if the constants of the two graphs differ in name or shape.
    """
    ours, theirs = _arrays(stored), _arrays(derived)
    if {name: array.shape for name, array in ours.items()} != {n: a.shape for n, a in theirs.items()}:
        return np.inf
    floats = [name for name, array in ours.items() if array.dtype in (np.float32, np.float16) and array.size]
    return max(
        (
            _largest(ours[name], theirs[name]) / max(float(np.abs(theirs[name]).max()), 1e-30)
            for name in floats
        ),
        default=0.0,
    )


def _arrays(model: ir.Model) -> dict[str, NDArray[Any]]:
    constants = {name: value.const_value for name, value in model.graph.initializers.items()}
    return {name: constant.numpy() for name, constant in constants.items() if constant is not None}


def jittered(model: ir.Model, seed: int = 0) -> ir.Model:
    """Return a copy with other float32 constants, which imitate the rounding of another CPU.

    Each value is changed at random by up to two units in the last place.
    """
    copy, random = model.clone(), np.random.default_rng(seed)
    for value in copy.graph.initializers.values():
        if value.const_value is not None and value.dtype == ir.DataType.FLOAT:
            array = value.const_value.numpy()
            moved = array * (1 + _ANOTHER_PROCESSOR * random.uniform(-1, 1, array.shape))
            moved = np.where(np.isfinite(array), moved.clip(_LARGEST.min, _LARGEST.max), array)
            value.const_value = ir.tensor(moved.astype(np.float32), name=value.name)
    return copy


def compare_with_derived(
    loaded: LoadedModel,
    bundle: Path,
    manifest: Manifest,
    model: Any,
    examples: Examples,
    graph: Path | None = None,
) -> StoredWeights:
    """Compare a bundle's constants with those obtained by exporting its checkpoint again.

    Outputs of a quantised bundle are also compared with outputs of the graphs exported again. Outputs of an fp32 bundle
    are not, because parity compares them with torch's.

    Args:
        loaded: the checkpoint.
        bundle: the bundle's folder.
        manifest: the bundle's manifest.
        model: the bundle, loaded by the runtime.
        examples: inputs of the checkpoint's task; the graphs are run on a sample of these.
        graph: as for `derive`.

    Raises:
        ExportError: the checkpoint can't be captured.
    """
    stored = stored_graphs(bundle, manifest)
    derived = derive(loaded, manifest, stored, examples, graph)
    constant = max(constant_error(graph, derived.quantized[name]) for name, graph in stored.items())
    if manifest.precision.name == "fp32":
        return StoredWeights(constant_error=constant)
    plan = plan_of(manifest)
    weight = None
    if not plan.half:  # constants in float16 are compared above, all of them
        weight = max(
            weight_error(graph, exact, fed_back_levels(graph, exact, plan))
            for graph, exact in ((graph, derived.exact[name]) for name, graph in stored.items())
        )
    with as_bundle(derived.quantized, bundle, manifest) as folder, ft.load(folder) as honest:
        expected, answers = examples.numbers(honest)
    with (
        as_bundle(_moved(derived, plan, loaded, manifest), bundle, manifest) as folder,
        ft.load(folder) as other,
    ):
        rounded, _ = examples.numbers(other, answers)
    found, _ = examples.numbers(model, answers)
    return StoredWeights(
        weight_error=weight,
        constant_error=constant,
        rounding=_distance(expected, found),
        rounding_limit=_MARGIN * _distance(expected, rounded) + _FLOAT32 * _distance(expected),
    )


def _moved(derived: Derived, plan: PrecisionPlan, loaded: LoadedModel, manifest: Manifest) -> Models:
    """Return the derived graphs with jittered constants; those of float16 graphs are jittered before the conversion."""
    exact = derived.exact if plan.half else derived.quantized
    moved = {name: jittered(graph) for name, graph in exact.items()}
    if plan.half:
        for graph in moved.values():
            HalfFloats()(graph)
            if manifest.layout == "standard":
                StandardNames(loaded.standard_output)(graph)
    return moved


def _distance(
    one: Sequence[NDArray[np.float32]], other: Sequence[NDArray[np.float32]] | None = None
) -> float:
    """Return the root mean square of all numbers in `one`, or of their differences from `other` if it is given."""
    pairs = zip(one, other, strict=True) if other is not None else ((array, 0.0) for array in one)
    squares = [np.square(np.subtract(a, b, dtype=np.float64)).ravel() for a, b in pairs]
    return float(np.sqrt(np.concatenate(squares).mean())) if squares else 0.0
