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
from ftool_export.passes import PassSettings
from ftool_export.passes.drop_reshapes import DropReshapes
from ftool_export.passes.fold_transposes import FoldTransposes
from ftool_export.passes.fold_uniform_lookups import FoldUniformLookups
from ftool_export.passes.gemm_to_matmul import GemmToMatMul
from ftool_export.passes.matching import constant_matmuls, layer_of, layers
from ftool_export.passes.name_layers import NameLayers
from ftool_export.passes.pack_qkv import PackQKV
from ftool_export.passes.quantize_blocks import QuantizeBlocks
from ftool_export.passes.quantize_embeddings import QuantizeEmbeddings
from ftool_export.passes.quantize_matmul import QuantizeMatMul
from ftool_export.passes.quantize_products import QuantizeProducts
from ftool_export.passes.residual_sums import ResidualSums
from ftool_export.passes.share_constants import ShareConstants
from ftool_export.passes.smooth_activations import SmoothActivations

log = logging.getLogger(__name__)

PrecisionName = Literal["fp32", "int8", "w8"]


def tidy_passes(settings: PassSettings) -> tuple[ir.passes.InPlacePass, ...]:
    """Return the passes that run on every graph; outputs stay those of torch, up to floating-point order."""
    return (
        NameLayers(),
        FoldTransposes(),
        GemmToMatMul(),
        ShareConstants(),
        DropReshapes(),
        FoldUniformLookups(),
        PackQKV(),
        ResidualSums(settings),
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

    quantize_products: type[QuantizeProducts] | None
    operator: str | None
    rows_share_scale: bool
    devices: tuple[str, ...]
    quantize_left_out: type[QuantizeProducts] | None = None
    smooth: bool = False


PRECISIONS: Final = MappingProxyType(
    {
        "fp32": PrecisionPlan(None, None, rows_share_scale=False, devices=("cpu", "cuda")),
        "int8": PrecisionPlan(
            QuantizeMatMul,
            QuantizeMatMul.operator,
            rows_share_scale=True,
            devices=("cpu",),
            quantize_left_out=QuantizeBlocks,
            smooth=True,
        ),
        "w8": PrecisionPlan(
            QuantizeBlocks, QuantizeBlocks.operator, rows_share_scale=False, devices=("cpu",)
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
    for graph_pass in tidy_passes(settings):
        modified = graph_pass(model).modified
        stage = type(graph_pass).__name__
        log.debug("%s: %s", stage, "modified" if modified else "nothing to do")
        check_structure(stage, model, expected)
        if modified:
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
        SmoothActivations(settings)(model)
        check_structure(SmoothActivations.__name__, model, expected)
        check_answers(SmoothActivations.__name__, model, probes, quantized=False)
    quantize_products(model, plan, settings)
    check_structure(plan.quantize_products.__name__, model, expected)
    check_answers(plan.quantize_products.__name__, model, probes, quantized=True)
    QuantizeEmbeddings(settings)(model)
    check_structure(QuantizeEmbeddings.__name__, model, expected)
    check_answers(QuantizeEmbeddings.__name__, model, probes, quantized=True)
    return model


def quantize_products(model: ir.Model, plan: PrecisionPlan, settings: PassSettings) -> None:
    """Quantise every product of at least `smallest` elements in place; layers left out get the finer operator.

    Raises:
        GuardError: a product of size was not quantised.
    """
    assert plan.quantize_products is not None
    assert plan.operator is not None
    stage = plan.quantize_products.__name__
    products = constant_matmuls(model, settings.smallest)
    wanted = sum(layer_of(node) not in settings.left_out for node in products)
    plan.quantize_products(settings)(model)
    check_quantized(stage, model, plan.operator, wanted)
    check_none_missed(stage, model, settings.smallest, settings.left_out)
    if plan.quantize_left_out is not None:
        plan.quantize_left_out(replace(settings, left_out=frozenset()))(model)
        check_none_missed(plan.quantize_left_out.__name__, model, settings.smallest, frozenset())
