"""From captured generators to graphs of a precision: which passes run, in which order, and what each must show."""

import logging
from dataclasses import dataclass, replace

import onnx_ir as ir

from ftool_export.capture.encoder import Attention
from ftool_export.capture.generator import Caches, capture_graphs
from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_export.errors import ExportError, GuardError
from ftool_export.graph.generator_guards import GraphContract, check_generation, check_graph
from ftool_export.graph.generator_probes import GenerationProbe, make_generation_probes
from ftool_export.passes import PassSettings
from ftool_export.passes.drop_reshapes import DropReshapes
from ftool_export.passes.feed_packed import FeedPacked
from ftool_export.passes.fold_transposes import FoldTransposes
from ftool_export.passes.fold_uniform_lookups import FoldUniformLookups
from ftool_export.passes.gemm_to_matmul import GemmToMatMul
from ftool_export.passes.matching import constant_shape, layer_of
from ftool_export.passes.name_layers import NameLayers
from ftool_export.passes.pack_qkv import PackQKV
from ftool_export.passes.quantize_blocks import QuantizeBlocks
from ftool_export.passes.quantize_embeddings import QuantizeEmbeddings
from ftool_export.passes.quantize_matmul import QuantizeMatMul
from ftool_export.passes.quantize_rows import QuantizeRows
from ftool_export.passes.residual_sums import ResidualSums
from ftool_export.passes.share_constants import ShareConstants
from ftool_export.passes.share_table import ShareTable
from ftool_export.passes.tie_head import TieHead, tied_products
from ftool_export.quantization import PrecisionPlan, quantize_products

log = logging.getLogger(__name__)


def tidy_passes(settings: PassSettings) -> tuple[ir.passes.InPlacePass, ...]:
    """Return the passes that run on encoder and decoder; outputs stay those of torch, up to floating-point order."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorGraphs:
    """A generator as graphs, in one precision.

    Attributes:
        loaded: the torch reference.
        encoder: gives cross keys and values of a source; None for decoders without an encoder.
        decoder: gives logits of prompt and step alike.
        attention: "fused", each attention one operator, or "plain", as the architecture spells it out.
        caches: "in_place", appended to by the operators, or "joined".
        encoder_expected: what holds of the encoder at every stage; None where there is none.
        decoder_expected: likewise of the decoder.
        probes: torch's answers, which every stage is held against.
        difference: the largest difference of a logit from torch's, over all probes.
    """

    loaded: LoadedGenerator
    encoder: ir.Model | None
    decoder: ir.Model
    attention: Attention
    caches: Caches
    encoder_expected: GraphContract | None
    decoder_expected: GraphContract
    probes: tuple[GenerationProbe, ...]
    difference: float


def generator_plan(plan: PrecisionPlan) -> PrecisionPlan:
    """The plan of a precision for models that generate: int8 has a scale a row, so that rows can run together.

    A classifier's int8 has a scale a tensor, which is faster for the one text that it runs at a time.
    """
    if plan.quantize_products is not QuantizeMatMul:
        return plan
    return replace(
        plan, quantize_products=QuantizeRows, operator=QuantizeRows.operator, rows_share_scale=False
    )


def capture_generator(loaded: LoadedGenerator, passes: PassSettings) -> GeneratorGraphs:
    """The fp32 graphs that every precision starts from, each stage shown to answer as torch does.

    Args:
        loaded: in evaluation mode and float32, on the CPU; it is left as it was.
        passes: what the passes go by.

    Raises:
        ExportError: it can't be captured, a stage failed its guard, or the device is another than the CPU.
    """
    if passes.device != "cpu":
        raise ExportError(
            f"models that generate text run on the CPU for now, not on {passes.device!r}; use the device cpu"
        )
    probes = make_generation_probes(loaded)
    captured = capture_graphs(loaded.model)
    graphs = GeneratorGraphs(
        loaded=loaded,
        encoder=captured.encoder.model if captured.encoder else None,
        decoder=captured.decoder.model,
        attention=captured.attention,
        caches=captured.caches,
        encoder_expected=captured.encoder.expected if captured.encoder else None,
        decoder_expected=captured.decoder.expected,
        probes=tuple(probes),
        difference=0.0,
    )
    graphs = _checked("capture", graphs, quantized=False)
    for graph_pass in tidy_passes(passes):
        graphs = _tidied(graph_pass, graphs)
    return graphs


def quantize_generator(
    graphs: GeneratorGraphs, plan: PrecisionPlan, settings: PassSettings
) -> GeneratorGraphs:
    """Copies of the fp32 graphs in the plan's precision.

    Raises:
        GuardError: a product of size was not quantised, or the graphs no longer answer as torch does.
    """
    graphs = replace(
        graphs, encoder=graphs.encoder and graphs.encoder.clone(), decoder=graphs.decoder.clone()
    )
    if plan.quantize_products is None:
        return graphs
    for model in _models(graphs):
        quantize_products(model, plan, settings)
    graphs = _checked(plan.quantize_products.__name__, graphs, quantized=True)
    for graph_pass in (
        ShareTable(settings),
        QuantizeEmbeddings(settings),
    ):  # tied tables with their heads first
        for model in _models(graphs):
            graph_pass(model)
        graphs = _checked(type(graph_pass).__name__, graphs, quantized=True)
    _check_heads(graphs, settings)
    _check_anything(graphs, plan)
    return graphs


def _check_anything(graphs: GeneratorGraphs, plan: PrecisionPlan) -> None:
    """Raise ExportError where the precision's name would promise what no layer has."""
    operators = {plan.operator, QuantizeBlocks.operator}
    if not any(node.op_type in operators for model in _models(graphs) for node in model.graph):
        raise ExportError(
            "no layer of this model is large enough to be worth quantising; use --precision fp32"
        )


def _check_heads(graphs: GeneratorGraphs, settings: PassSettings) -> None:
    """Raise GuardError where a tied head of size is in fp32 and was not to be left out."""
    for product in tied_products(graphs.decoder):
        shape = constant_shape(product.inputs[1])
        assert shape is not None
        if shape[0] * shape[1] >= settings.smallest and layer_of(product) not in settings.left_out:
            raise GuardError(ShareTable.__name__, f"still in fp32: {layer_of(product)}")


def _models(graphs: GeneratorGraphs) -> list[ir.Model]:
    return [model for model in (graphs.encoder, graphs.decoder) if model is not None]


def _tidied(graph_pass: ir.passes.InPlacePass, graphs: GeneratorGraphs) -> GeneratorGraphs:
    stage = type(graph_pass).__name__
    modified = [model for model in _models(graphs) if graph_pass(model).modified]
    log.debug("%s: %s", stage, "modified" if modified else "nothing to do")
    return _checked(stage, graphs, quantized=False, run=bool(modified))


def _checked(stage: str, graphs: GeneratorGraphs, *, quantized: bool, run: bool = True) -> GeneratorGraphs:
    """The graphs, once they have shown that they are whole and, where they were changed, answer as torch does."""
    if graphs.encoder is not None and graphs.encoder_expected is not None:
        check_graph(f"{stage} (encoder)", graphs.encoder, graphs.encoder_expected)
    check_graph(stage, graphs.decoder, graphs.decoder_expected)
    if not run:
        return graphs
    difference = check_generation(stage, graphs.encoder, graphs.decoder, graphs.probes, quantized=quantized)
    return replace(graphs, difference=difference)
