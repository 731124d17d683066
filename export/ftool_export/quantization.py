"""Precisions: a plan for each precision and family of models, and the passes that tidy and quantise captured graphs."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal

import onnx_ir as ir

from ftool_export.errors import ExportError, GuardError
from ftool_export.graph.graphs import Graphs
from ftool_export.graph.guards import check_none_missed, check_quantized
from ftool_export.passes import PassSettings
from ftool_export.passes.drop_reshapes import DropReshapes
from ftool_export.passes.feed_packed import FeedPacked
from ftool_export.passes.fold_transposes import FoldTransposes
from ftool_export.passes.fold_uniform_lookups import FoldUniformLookups
from ftool_export.passes.gemm_to_matmul import GemmToMatMul
from ftool_export.passes.matching import constant_matmuls, constant_shape, layer_of, layers, output_layer
from ftool_export.passes.name_layers import NameLayers
from ftool_export.passes.pack_qkv import PackQKV
from ftool_export.passes.quantize_blocks import QuantizeBlocks, QuantizeNibbles
from ftool_export.passes.quantize_embeddings import QuantizeEmbeddings
from ftool_export.passes.quantize_matmul import QuantizeMatMul
from ftool_export.passes.quantize_products import QuantizeProducts
from ftool_export.passes.quantize_rows import QuantizeRows
from ftool_export.passes.residual_sums import ResidualSums
from ftool_export.passes.share_constants import ShareConstants
from ftool_export.passes.share_table import ShareTable
from ftool_export.passes.smooth_activations import SmoothActivations
from ftool_export.passes.tie_head import TieHead, tied_products

log = logging.getLogger(__name__)

PrecisionName = Literal["fp32", "int8", "w8", "w4"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionPlan:
    """The passes and settings of a precision, and the properties of its graphs that a runtime needs to know.

    Attributes:
        quantize_products: the pass that quantises products with constant weights; None for fp32.
        quantize_left_out: the pass for layers that `quantize_products` leaves out; None keeps them in fp32.
        smooth: whether activations are first smoothed: outliers are scaled down, and weights are scaled up to match.
        feedback: whether weights are rounded with error feedback, on the inputs that they have in real examples.
        keep_output: whether the layer that computes a graph's output is left to `quantize_left_out`.
        rows_share_scale: whether the rows of a batch share an activation scale, so that inputs must run singly.
        devices: the devices that support the graph's operators.
        search: whether to search for layers to leave out if the gate refuses the bundle with all layers quantised.
        needs_products: whether to refuse a model in which no matrix product is large enough to be quantised.
        block_size: a lower limit for `PassSettings.block_size`.
        smallest: an upper limit for `PassSettings.smallest`; None sets no limit.
        smallest_table: an upper limit for `PassSettings.smallest_table`; None sets no limit.
    """

    quantize_products: type[QuantizeProducts] | None = None
    quantize_left_out: type[QuantizeProducts] | None = None
    smooth: bool = False
    feedback: bool = False
    keep_output: bool = False
    rows_share_scale: bool = False
    devices: tuple[str, ...] = ("cpu",)
    search: bool = False
    needs_products: bool = False
    block_size: int = 16
    smallest: int | None = None
    smallest_table: int | None = None

    def settings(self, passes: PassSettings) -> PassSettings:
        """Return `passes` with `block_size`, `smallest` and `smallest_table` within the plan's limits."""
        return replace(
            passes,
            block_size=max(passes.block_size, self.block_size),
            smallest=min(passes.smallest, self.smallest or passes.smallest),
            smallest_table=min(passes.smallest_table, self.smallest_table or passes.smallest_table),
        )


_ENCODER: Final[Mapping[str, PrecisionPlan]] = MappingProxyType(
    {
        "fp32": PrecisionPlan(devices=("cpu", "cuda")),
        # One activation scale per tensor: the fastest for graphs that run one text at a time.
        "int8": PrecisionPlan(
            quantize_products=QuantizeMatMul,
            quantize_left_out=QuantizeBlocks,
            smooth=True,
            feedback=True,
            rows_share_scale=True,
            search=True,
        ),
        "w8": PrecisionPlan(quantize_products=QuantizeBlocks, search=True),
        "w4": PrecisionPlan(
            quantize_products=QuantizeNibbles,
            quantize_left_out=QuantizeBlocks,
            feedback=True,
            keep_output=True,
            search=True,
        ),
    }
)

# Every step of a generator reads all weights, so smaller weights than in an encoder are worth quantising.
_SMALLEST: Final = 4_096  # elements of a product's weight
_SMALLEST_TABLE: Final = 131_072
# Wider blocks than in encoders are faster, because every block ends in a floating-point multiplication. With 128 the
# operator sums one row in a different order from several rows, and rounding in the next layer turns that into
# hundredths: docs/generation.md.
_BLOCK: Final = 64

_W8: Final = PrecisionPlan(
    quantize_products=QuantizeBlocks,
    needs_products=True,
    block_size=_BLOCK,
    smallest=_SMALLEST,
    smallest_table=_SMALLEST_TABLE,
)
_GENERATOR: Final[Mapping[str, PrecisionPlan]] = MappingProxyType(
    {
        "fp32": PrecisionPlan(),
        # One activation scale per row, so that rows can run together.
        "int8": replace(_W8, quantize_products=QuantizeRows, quantize_left_out=QuantizeBlocks, feedback=True),
        "w8": _W8,
        "w4": replace(
            _W8,
            quantize_products=QuantizeNibbles,
            quantize_left_out=QuantizeBlocks,
            feedback=True,
            keep_output=True,
        ),
    }
)

PLANS: Final = MappingProxyType({"encoder": _ENCODER, "encoder-decoder": _GENERATOR, "decoder": _GENERATOR})


def precision_plan(name: str, device: str, family: str = "encoder") -> PrecisionPlan:
    """Return the plan of a precision for a family of models: "encoder", "encoder-decoder" or "decoder".

    Raises:
        ExportError: the family has no precision called `name`, or the precision does not run on `device`.
    """
    plans = PLANS[family]
    if name not in plans:
        raise ExportError(f"unknown precision {name!r}; choose one of {', '.join(plans)}")
    plan = plans[name]
    if device in plan.devices:
        return plan
    suitable = [other for other, candidate in plans.items() if device in candidate.devices]
    if not suitable and family != "encoder":
        raise ExportError(f"models that generate text don't run on {device!r} yet; use --device cpu")
    remedy = f"use --precision {suitable[0]}" if suitable else "use --device cpu or cuda"
    raise ExportError(f"{name} does not run on {device!r}; {remedy}")


def tidy_passes(settings: PassSettings) -> tuple[ir.passes.InPlacePass, ...]:
    """Return the passes that run on every graph; they change the graph's outputs by no more than rounding."""
    return (
        NameLayers(),
        TieHead(),
        FoldTransposes(),
        GemmToMatMul(),
        ShareConstants(),
        DropReshapes(),
        FoldUniformLookups(),
        PackQKV(),
        FeedPacked(),
        ResidualSums(settings),
    )


def tidy(graphs: Graphs, settings: PassSettings) -> Graphs:
    """Tidy the fp32 graphs, from which every precision starts, in place; check outputs against torch's after each pass.

    Raises:
        GuardError: the graphs fail a check after a pass.
    """
    for graph_pass in tidy_passes(settings):
        modified = [graph_pass(model).modified for model in graphs.models.values()]
        stage = type(graph_pass).__name__
        log.debug("%s: %s", stage, "modified" if any(modified) else "nothing to do")
        graphs = graphs.checked(stage, quantized=False, run=any(modified))
    return graphs


def quantizable_layers(model: ir.Model, settings: PassSettings) -> list[str]:
    """Return, in graph order, the names of the layers whose matrix products are large enough to be quantised."""
    return layers(constant_matmuls(model, settings.smallest))


def quantize(graphs: Graphs, plan: PrecisionPlan, settings: PassSettings) -> Graphs:
    """Return copies of the fp32 graphs in the plan's precision.

    Raises:
        GuardError: a matrix product that is large enough to be quantised was left in fp32, or the graphs' outputs are
            too far from torch's.
    """
    graphs = graphs.clone()
    if plan.quantize_products is None:
        return graphs
    if plan.smooth:
        graphs = _applied(SmoothActivations(settings), graphs, quantized=False)
    for model in graphs.models.values():
        quantize_products(model, plan, settings)
    graphs = graphs.checked(plan.quantize_products.__name__, quantized=True)
    for graph_pass in (ShareTable(settings), QuantizeEmbeddings(settings)):
        graphs = _applied(graph_pass, graphs, quantized=True)
    _check_heads(graphs, settings)
    _check_any_product(graphs, plan)
    return graphs


def quantize_products(model: ir.Model, plan: PrecisionPlan, settings: PassSettings) -> None:
    """Quantise, in place, every product whose weight has at least `settings.smallest` elements.

    Layers in `settings.left_out`, and the layer of the output if the plan keeps it, are quantised by
    `plan.quantize_left_out`, or stay in fp32 if it is None.

    Raises:
        GuardError: a matrix product that is large enough to be quantised was left in fp32.
    """
    assert plan.quantize_products is not None
    stage = plan.quantize_products.__name__
    if plan.keep_output:
        settings = replace(settings, left_out=settings.left_out | output_layer(model, settings.smallest))
    products = constant_matmuls(model, settings.smallest)
    expected = sum(layer_of(node) not in settings.left_out for node in products)
    plan.quantize_products(settings)(model)
    check_quantized(stage, model, plan.quantize_products.operator, expected)
    check_none_missed(stage, model, settings.smallest, settings.left_out)
    if plan.quantize_left_out is not None:
        plan.quantize_left_out(replace(settings, left_out=frozenset()))(model)
        check_none_missed(plan.quantize_left_out.__name__, model, settings.smallest, frozenset())


def _applied(graph_pass: ir.passes.InPlacePass, graphs: Graphs, *, quantized: bool) -> Graphs:
    modified = [graph_pass(model).modified for model in graphs.models.values()]
    return graphs.checked(type(graph_pass).__name__, quantized=quantized, run=any(modified))


def _check_any_product(graphs: Graphs, plan: PrecisionPlan) -> None:
    """Raise ExportError if no layer was quantised although the plan requires it."""
    assert plan.quantize_products is not None
    operators = {plan.quantize_products.operator, QuantizeBlocks.operator}
    nodes = (node for model in graphs.models.values() for node in model.graph)
    if plan.needs_products and not any(node.op_type in operators for node in nodes):
        raise ExportError(
            "no layer of this model is large enough to be worth quantising; use --precision fp32"
        )


def _check_heads(graphs: Graphs, settings: PassSettings) -> None:
    """Raise GuardError if a tied head is still in fp32, although it is large enough and `settings` don't exclude it."""
    for model in graphs.models.values():
        for product in tied_products(model):
            shape = constant_shape(product.inputs[1])
            assert shape is not None
            if shape[0] * shape[1] >= settings.smallest and layer_of(product) not in settings.left_out:
                raise GuardError(ShareTable.__name__, f"still in fp32: {layer_of(product)}")
