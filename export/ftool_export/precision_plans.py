"""Precisions: for each precision and family of models, the passes that quantise and what a runtime needs to know."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from ftool_export.errors import ExportError
from ftool_export.passes import PassSettings
from ftool_export.passes.quantize_blocks import QuantizeBlocks, QuantizeNibbles
from ftool_export.passes.quantize_embeddings import BLOCK
from ftool_export.passes.quantize_matmul import QuantizeMatMul
from ftool_export.passes.quantize_products import QuantizeProducts
from ftool_export.passes.quantize_rows import QuantizeRows
from ftool_export.passes.quantize_static import QuantizeStatic
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.precisions import PRECISIONS, LayoutName, PrecisionName


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionPlan:
    """The passes and settings of a precision, and the properties of its graphs that a runtime needs to know.

    Attributes:
        summary: a description for the model card: the formats of weights, activations and embeddings, where
            "{embeddings}" stands for that of the embeddings.
        closer: the next precision whose answers are closer to PyTorch's; None for fp32.
        half: whether graphs store and compute in float16, except for operators that need float32.
        quantize_products: the pass that quantises products with constant weights; None for fp32 and fp16.
        quantize_left_out: the pass for layers that `quantize_products` leaves out; None keeps them in fp32.
        smooth: whether activations are first smoothed: outliers are scaled down, and weights are scaled up to match.
        feedback: whether weights are rounded with error feedback, on the inputs that they have in real examples.
        calibrate: whether activation scales are constants, measured on real examples.
        keep_output: whether the layer that computes a graph's output is left to `quantize_left_out`.
        rows_share_scale: whether the rows of a batch share an activation scale, so that inputs must run singly.
        drop_mask: whether the graphs take no attention mask, because inputs run singly and have no padding.
        devices: the devices that support the graph's operators.
        needs_products: whether to refuse a model in which no matrix product is large enough to be quantised.
        block_size: a lower limit for `PassSettings.block_size`.
        smallest: an upper limit for `PassSettings.smallest`; None sets no limit.
        smallest_table: an upper limit for `PassSettings.smallest_table`; None sets no limit.
    """

    summary: str
    closer: PrecisionName | None
    half: bool = False
    quantize_products: type[QuantizeProducts] | None = None
    quantize_left_out: type[QuantizeProducts] | None = None
    smooth: bool = False
    feedback: bool = False
    calibrate: bool = False
    keep_output: bool = False
    rows_share_scale: bool = False
    drop_mask: bool = False
    devices: tuple[str, ...] = ("cpu",)
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


_INT8_SUMMARY: Final = (
    "weights in 7-bit signed integers per channel, activations in 8 bits per {activations}, quantised during "
    "inference, embeddings in {{embeddings}}."
)
_W8_SUMMARY: Final = (
    "weights in 8-bit blocks of up to {widest}, activations in 8 bits per row and block, embeddings in "
    "{{embeddings}}."
)
_W4_SUMMARY: Final = (
    "weights in 4-bit blocks of 32, rounded on real texts, activations in 8 bits per row and block, the output "
    "layer in 8 bits, embeddings in {embeddings}."
)
_EMBEDDINGS: Final = MappingProxyType({8: "8 bits per row", 4: f"4-bit blocks of {BLOCK}"})
_FP32: Final = PrecisionPlan(summary="32-bit floats throughout.", closer=None)
_ENCODER: Final[Mapping[str, PrecisionPlan]] = MappingProxyType(
    {
        "fp32": replace(_FP32, devices=("cpu", "cuda")),
        # ONNX Runtime's CPU kernels have no float16 arithmetic, so on a CPU it would only be slower than fp32.
        "fp16": PrecisionPlan(
            summary="16-bit floats (float16) for weights and activations; sums over tokens and lengths of vectors in "
            "32 bits.",
            closer="fp32",
            half=True,
            devices=("cuda",),
        ),
        # One activation scale per tensor: the fastest for graphs that run one text at a time.
        "int8": PrecisionPlan(
            summary=_INT8_SUMMARY.format(activations="text"),
            closer="w8",
            quantize_products=QuantizeMatMul,
            quantize_left_out=QuantizeBlocks,
            smooth=True,
            feedback=True,
            rows_share_scale=True,
            drop_mask=True,
        ),
        # One activation scale per row: slower for one text, but texts can run together.
        "int8-rows": PrecisionPlan(
            summary=_INT8_SUMMARY.format(activations="row"),
            closer="w8",
            quantize_products=QuantizeRows,
            quantize_left_out=QuantizeBlocks,
            smooth=True,
            feedback=True,
        ),
        # Activation scales are constants: the fastest for texts in bulk, if they are like the export's examples.
        "int8-static": PrecisionPlan(
            summary="weights in 7-bit signed integers per channel, activations in 8 bits with scales measured at "
            "export, embeddings in {embeddings}.",
            closer="int8-rows",
            quantize_products=QuantizeStatic,
            quantize_left_out=QuantizeBlocks,
            smooth=True,
            feedback=True,
            calibrate=True,
        ),
        "w8": PrecisionPlan(
            summary=_W8_SUMMARY.format(widest=32),
            closer="fp32",
            quantize_products=QuantizeBlocks,
        ),
        "w4": PrecisionPlan(
            summary=_W4_SUMMARY,
            closer="w8",
            quantize_products=QuantizeNibbles,
            quantize_left_out=QuantizeBlocks,
            feedback=True,
            keep_output=True,
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
    summary=_W8_SUMMARY.format(widest=_BLOCK),
    closer="fp32",
    quantize_products=QuantizeBlocks,
    needs_products=True,
    block_size=_BLOCK,
    smallest=_SMALLEST,
    smallest_table=_SMALLEST_TABLE,
)
_GENERATOR: Final[Mapping[str, PrecisionPlan]] = MappingProxyType(
    {
        "fp32": _FP32,
        # One activation scale per row, so that rows can run together.
        "int8": replace(
            _W8,
            summary=_INT8_SUMMARY.format(activations="row"),
            closer="w8",
            quantize_products=QuantizeRows,
            quantize_left_out=QuantizeBlocks,
            feedback=True,
        ),
        "w8": _W8,
        "w4": replace(
            _W8,
            summary=_W4_SUMMARY,
            closer="w8",
            quantize_products=QuantizeNibbles,
            quantize_left_out=QuantizeBlocks,
            feedback=True,
            keep_output=True,
        ),
    }
)

PLANS: Final = MappingProxyType({"encoder": _ENCODER, "encoder-decoder": _GENERATOR, "decoder": _GENERATOR})


def precision_plan(
    name: str, device: str, family: str = "encoder", layout: LayoutName = "ftool"
) -> PrecisionPlan:
    """Return the plan of a precision for a family of models: "encoder", "encoder-decoder" or "decoder".

    Raises:
        ExportError: the family has no precision called `name`, the precision does not run on `device`, or it can't have
            the layout.
    """
    plans: Mapping[str, PrecisionPlan] = {**PLANS[family]}
    if name not in plans:
        problem = "this kind of model has no" if name in PRECISIONS else "unknown"
        raise ExportError(f"{problem} precision {name!r}; choose one of {', '.join(plans)}")
    plan = plans[name]
    if layout == "standard" and plan.rows_share_scale:
        raise ExportError(
            f"in {name} the texts of a batch share a scale, so other libraries, which run texts together, would give "
            f"each of them an answer that depends on the others: use --precision {name}-rows, or leave out --layout "
            "standard"
        )
    if device in plan.devices:
        return plan
    suitable = [other for other, candidate in plans.items() if device in candidate.devices]
    if not suitable and family != "encoder":
        raise ExportError(f"models that generate text don't run on {device!r} yet; use --device cpu")
    if not suitable:
        raise ExportError(f"{name} does not run on {device!r}; use --device cpu or cuda")
    remedy = f"use --precision {' or '.join(suitable[:2])}, or --device {plan.devices[0]}"
    raise ExportError(f"{name} does not run on {device!r}; {remedy}")


def plan_of(manifest: Manifest) -> PrecisionPlan:
    """Return the plan by which a bundle was quantised."""
    family = manifest.generation.family if manifest.generation else "encoder"
    return precision_plan(manifest.precision.name, manifest.precision.devices[0], family)


def summary_of(manifest: Manifest) -> str:
    """Return a description of a bundle's precision: the formats of weights, activations and embeddings."""
    return plan_of(manifest).summary.format(embeddings=_EMBEDDINGS[manifest.precision.embedding_bits])
