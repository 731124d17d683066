"""Tidy captured graphs, and quantise them or convert them to float16 as the plan of a precision says."""

import logging
from dataclasses import replace

import onnx_ir as ir

from ftool_export.errors import ExportError, GuardError
from ftool_export.graph.graphs import Graphs
from ftool_export.graph.guards import check_none_missed, check_quantized
from ftool_export.graph.half_arithmetic import imitate_half
from ftool_export.passes import PassSettings
from ftool_export.passes.drop_mask import MASK, DropMask
from ftool_export.passes.drop_reshapes import DropReshapes
from ftool_export.passes.feed_packed import FeedPacked
from ftool_export.passes.fold_transposes import FoldTransposes
from ftool_export.passes.fold_uniform_lookups import FoldUniformLookups
from ftool_export.passes.gemm_to_matmul import GemmToMatMul
from ftool_export.passes.half_floats import LARGEST, HalfFloats
from ftool_export.passes.matching import constant_matmuls, constant_shape, layer_of, layers, output_layer
from ftool_export.passes.move_scales import MoveScales
from ftool_export.passes.name_layers import NameLayers
from ftool_export.passes.pack_qkv import PackQKV
from ftool_export.passes.pooled_token import PooledTokenOnly
from ftool_export.passes.quantize_blocks import QuantizeBlocks
from ftool_export.passes.quantize_embeddings import QuantizeEmbeddings, quantizable_tables, saved_bytes
from ftool_export.passes.residual_sums import ResidualSums
from ftool_export.passes.share_constants import ShareConstants
from ftool_export.passes.share_table import ShareTable
from ftool_export.passes.smooth_activations import SmoothActivations
from ftool_export.passes.standard_attention import LONGEST, StandardAttention
from ftool_export.passes.standard_names import StandardNames
from ftool_export.passes.tie_head import TieHead, tied_products
from ftool_export.precision_plans import PrecisionPlan

log = logging.getLogger(__name__)


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
        PooledTokenOnly(settings),
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


def move_scales(graphs: Graphs, settings: PassSettings) -> Graphs:
    """Return copies of the fp32 graphs with scales moved between layers, or the graphs if nothing is to be moved.

    Raises:
        GuardError: the graphs' outputs differ from torch's by more than rounding.
    """
    if not settings.moved:
        return graphs
    return _applied(MoveScales(settings.moved), graphs.clone(), quantized=False)


def quantizable_layers(model: ir.Model, settings: PassSettings) -> list[str]:
    """Return, in graph order, the names of the layers whose matrix products are large enough to be quantised."""
    return layers(constant_matmuls(model, settings.smallest))


def quantize(graphs: Graphs, plan: PrecisionPlan, settings: PassSettings) -> Graphs:
    """Return copies of the fp32 graphs in the plan's precision, and with the names of the layout in `settings`.

    Raises:
        GuardError: a matrix product that is large enough to be quantised was left in fp32, or the graphs' outputs are
            too far from torch's, or exceed the range of float16.
    """
    graphs = _in_precision(graphs.clone(), plan, settings)
    if settings.layout == "ftool" or "model" not in graphs.models:
        return graphs
    return _with_standard_names(graphs)


def _with_standard_names(graphs: Graphs) -> Graphs:
    """Give an encoder's graph the names that other libraries read, in place."""
    StandardNames(graphs.loaded.standard_output)(graphs.models["model"])
    return graphs.with_outputs(StandardNames.__name__)


def _in_precision(graphs: Graphs, plan: PrecisionPlan, settings: PassSettings) -> Graphs:
    """Change the fp32 graphs to the plan's precision, in place."""
    if plan.half:
        return _in_half(graphs)
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
    if plan.drop_mask:
        graphs = _applied(DropMask(), graphs.without_input(MASK), quantized=True)
        if graphs.loaded.max_length <= LONGEST:
            graphs = _applied(StandardAttention(), graphs, quantized=True)
    return graphs


def quantize_products(model: ir.Model, plan: PrecisionPlan, settings: PassSettings) -> None:
    """Quantise, in place, every product whose weight has at least `settings.smallest` elements.

    Layers in `settings.left_out`, and the layer of the output if the plan keeps it, are quantised by
    `plan.quantize_left_out`, or stay in fp32 if it is None or they are in `settings.in_fp32`.

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
        plan.quantize_left_out(replace(settings, left_out=settings.in_fp32))(model)
        check_none_missed(plan.quantize_left_out.__name__, model, settings.smallest, settings.in_fp32)


def saved_by_nibbles(graphs: Graphs, plan: PrecisionPlan, settings: PassSettings) -> int:
    """Return how many bytes smaller a bundle of the plan gets if its embeddings have 4 bits instead of 8.

    The result is 0 if they can't have 4 bits. `graphs` are those in fp32.
    """
    if plan.quantize_products is None or any(tied_products(model) for model in graphs.models.values()):
        return 0
    tables = [table for model in graphs.models.values() for table in quantizable_tables(model, settings)]
    return sum(saved_bytes(table) for table in tables)


def check_tables(graphs: Graphs, plan: PrecisionPlan, settings: PassSettings) -> None:
    """Raise ExportError if embeddings are to have 4 bits, but the fp32 graphs have no table for it, or a shared one."""
    if settings.embedding_bits == 8:
        return
    if plan.quantize_products is None:
        raise ExportError(
            "embeddings in 4 bits are for quantised precisions, not for fp32 or fp16: leave out --embedding-bits"
        )
    if any(tied_products(model) for model in graphs.models.values()):
        raise ExportError(
            "the output layer of this model reads the embedding table too, and needs it in 8 bits: leave out "
            "--embedding-bits"
        )
    if not any(quantizable_tables(model, settings) for model in graphs.models.values()):
        raise ExportError(
            f"this model has no embedding table of at least {settings.smallest_table:,} numbers, and smaller ones stay "
            "in fp32: leave out --embedding-bits"
        )


def _in_half(graphs: Graphs) -> Graphs:
    """Convert the fp32 graphs to float16 in place, and check the outputs that they give in float16 arithmetic."""
    stage = HalfFloats.__name__
    try:
        graphs = _applied(HalfFloats(), graphs, quantized=True)
        imitated = {name: imitate_half(model) for name, model in graphs.models.items()}
        replace(graphs, models=imitated).checked(stage, quantized=True)
    except GuardError as error:
        _, _, reason = str(error).partition(": ")
        raise GuardError(
            stage, f"in float16, whose largest number is {LARGEST:,.0f}, {reason}; use --precision fp32"
        ) from error
    return graphs


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
