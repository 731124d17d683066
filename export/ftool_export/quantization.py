"""From a captured graph to one of a precision: which passes run, in which order, and what each must show."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal

import onnx_ir as ir

from ftool_export.errors import ExportError
from ftool_export.graph.guards import (
    Expectation,
    check_answers,
    check_none_missed,
    check_quantized,
    check_structure,
)
from ftool_export.graph.probes import Probe
from ftool_export.passes import (
    GraphPass,
    PassSettings,
    drop_reshapes,
    fold_transposes,
    fold_uniform_lookups,
    gemm_to_matmul,
    name_layers,
    pack_qkv,
    quantize_blocks,
    quantize_embeddings,
    quantize_matmul,
    residual_sums,
    share_constants,
    smooth_activations,
)
from ftool_export.passes.matching import constant_matmuls, layer_of, layers

log = logging.getLogger(__name__)

PrecisionName = Literal["fp32", "int8", "w8"]

# What every graph goes through; the numbers stay those of torch up to the order of sums.
TIDY: Final[tuple[GraphPass, ...]] = (
    name_layers,
    fold_transposes,
    gemm_to_matmul,
    share_constants,
    drop_reshapes,
    fold_uniform_lookups,
    pack_qkv,
    residual_sums,
)


@dataclass(frozen=True, slots=True)
class PrecisionPlan:
    """How a precision is made, and what a runtime must know of it.

    Attributes:
        quantize_products: the pass that quantises products with constant weights; None for fp32.
        operator: what that pass emits.
        quantize_left_out: the pass for layers that `quantize_products` is to leave alone; None leaves them in fp32.
        smooth: whether outliers are moved from activations into weights first.
        rows_share_scale: the rows of a batch share an activation scale, so texts must run alone.
        devices: where the graph's operators exist.
    """

    quantize_products: GraphPass | None
    operator: str | None
    rows_share_scale: bool
    devices: tuple[str, ...]
    quantize_left_out: GraphPass | None = None
    smooth: bool = False


PRECISIONS: Final = MappingProxyType(
    {
        "fp32": PrecisionPlan(None, None, rows_share_scale=False, devices=("cpu", "cuda")),
        "int8": PrecisionPlan(
            quantize_matmul,
            quantize_matmul.OPERATOR,
            rows_share_scale=True,
            devices=("cpu",),
            quantize_left_out=quantize_blocks,
            smooth=True,
        ),
        "w8": PrecisionPlan(
            quantize_blocks, quantize_blocks.OPERATOR, rows_share_scale=False, devices=("cpu",)
        ),
    }
)


def precision_plan(name: str, device: str) -> PrecisionPlan:
    """The plan of a precision.

    Raises:
        ExportError: there is no such precision, or it does not run on the device.
    """
    if name not in PRECISIONS:
        raise ExportError(f"there is no precision {name!r}; there are {', '.join(PRECISIONS)}")
    plan = PRECISIONS[name]
    if device not in plan.devices:
        able = [other for other, candidate in PRECISIONS.items() if device in candidate.devices]
        remedy = f"use --precision {able[0]}" if able else "there are cpu and cuda"
        raise ExportError(f"{name} does not run on {device!r}; {remedy}")
    return plan


def tidy(
    model: ir.Model, settings: PassSettings, expected: Expectation, probes: Sequence[Probe]
) -> tuple[ir.Model, float]:
    """The fp32 graph that all precisions start from; every pass must keep torch's answers.

    Returns:
        The graph, and the largest difference of a logit from torch's, over all probes.

    Raises:
        GuardError: a pass broke something.
    """
    difference = 0.0
    for graph_pass in TIDY:
        result = graph_pass.apply(model, settings)
        stage = pass_name(graph_pass)
        log.debug("%s: %d places", stage, result.changed)
        model = result.model
        check_structure(stage, model, expected)
        if result.changed:
            difference = check_answers(stage, model, probes, quantized=False)
    return model, difference


def quantizable_layers(model: ir.Model, settings: PassSettings) -> list[str]:
    """The layers whose products are quantised unless they are left out, in graph order."""
    return layers(constant_matmuls(model, settings.smallest))


def quantize(
    model: ir.Model,
    plan: PrecisionPlan,
    settings: PassSettings,
    expected: Expectation,
    probes: Sequence[Probe],
) -> ir.Model:
    """A copy of the fp32 graph in the plan's precision.

    Raises:
        GuardError: a product of size was not quantised, or the graph no longer answers as torch does.
    """
    model = model.clone()
    if plan.quantize_products is None:
        return model
    if plan.smooth:
        model = smooth_activations.apply(model, settings).model
        check_structure("smooth_activations", model, expected)
        check_answers("smooth_activations", model, probes, quantized=False)
    model = quantize_products(model, plan, settings)
    check_structure(pass_name(plan.quantize_products), model, expected)
    check_answers(pass_name(plan.quantize_products), model, probes, quantized=True)
    stage = pass_name(quantize_embeddings)
    model = quantize_embeddings.apply(model, settings).model
    check_structure(stage, model, expected)
    check_answers(stage, model, probes, quantized=True)
    return model


def quantize_products(model: ir.Model, plan: PrecisionPlan, settings: PassSettings) -> ir.Model:
    """Every product of size in the plan's operator, but those of layers left out, which get the finer one.

    Raises:
        GuardError: a product of size was not quantised.
    """
    assert plan.quantize_products is not None
    assert plan.operator is not None
    stage = pass_name(plan.quantize_products)
    products = constant_matmuls(model, settings.smallest)
    wanted = sum(layer_of(node) not in settings.left_out for node in products)
    model = plan.quantize_products.apply(model, settings).model
    check_quantized(stage, model, plan.operator, wanted)
    check_none_missed(stage, model, settings.smallest, settings.left_out)
    if plan.quantize_left_out is not None:
        model = plan.quantize_left_out.apply(model, replace(settings, left_out=frozenset())).model
        check_none_missed(pass_name(plan.quantize_left_out), model, settings.smallest, frozenset())
    return model


def pass_name(graph_pass: GraphPass) -> str:
    """What a pass is called in logs and errors: its module's name."""
    return str(getattr(graph_pass, "__name__", graph_pass)).rpartition(".")[2]
