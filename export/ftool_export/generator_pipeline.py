"""A checkpoint that generates text to a bundle: capture, quantise, write, judge; each stage checked before the next."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ftool_export.bundle.generator_bundle import GateRefusedError, write_bundle
from ftool_export.bundle.writer import check_place
from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_export.checkpoints.generator_inference import TokenRows, tokenize_sources
from ftool_export.errors import ExportError
from ftool_export.examples.generation import GenerationExamples
from ftool_export.gate import advise
from ftool_export.generator_quantization import (
    GeneratorGraphs,
    capture_generator,
    generator_plan,
    quantize_generator,
)
from ftool_export.graph.probes import SAMPLE_TEXTS
from ftool_export.passes import PassSettings
from ftool_export.report import ExportReport
from ftool_export.settings import ExportSettings

log = logging.getLogger(__name__)

_SMALLEST: Final = 4_096  # elements of a product's weight
_SMALLEST_TABLE: Final = 131_072
_BLOCK: Final = 128  # a step takes three quarters of what it takes with 32: docs/generation.md


def export_generator(
    settings: ExportSettings,
    loaded: LoadedGenerator,
    *,
    examples: GenerationExamples | None = None,
    texts: Sequence[str] = (),
    captured: GeneratorGraphs | None = None,
) -> ExportReport:
    """Export a model that generates text to a bundle that runs without torch.

    Args:
        settings: where to, and how exact.
        loaded: the checkpoint.
        examples: validation examples for the gate; without them quality is not judged, and the report says so.
        texts: sources or prompts of the model's kind if there are no examples; samples if empty.
        captured: the checkpoint's fp32 graphs, where the caller has them from another precision's export.

    Returns:
        What was done. `bundle` is None where the gate said no: then nothing was written or replaced.

    Raises:
        ExportError: it can't be exported as asked, or a stage failed its guard.
        OSError: the bundle can't be written; what was there is untouched.
    """
    check_place(settings.bundle)
    if settings.device != "cpu":
        raise ExportError(
            f"models that generate text run on the CPU for now, not on {settings.device}; use --device cpu"
        )
    if examples is None:
        examples = GenerationExamples(inputs=_sample_rows(loaded, list(texts) or list(SAMPLE_TEXTS)))
    passes = _for_steps(settings.passes)
    captured = captured or capture_generator(loaded, passes)
    graphs = quantize_generator(captured, generator_plan(settings.plan), passes)
    try:
        files, verdict = write_bundle(
            settings, loaded, graphs, examples, exact_difference=captured.difference
        )
    except GateRefusedError as refused:
        files, verdict = {}, refused.verdict
    log.info("%s: %s", settings.precision, verdict)
    return ExportReport(
        bundle=settings.bundle if files else None,
        precision=settings.precision,
        attention=graphs.attention,
        left_out=(),
        files=files,
        verdict=verdict,
        largest_logit_difference=captured.difference,
        advice=advise(verdict, settings.precision),
    )


def _for_steps(passes: PassSettings) -> PassSettings:
    """Smaller weights are worth quantising than a classifier's, in wider blocks: every step reads all of them."""
    return replace(
        passes,
        block_size=max(passes.block_size, _BLOCK),
        smallest=min(passes.smallest, _SMALLEST),
        smallest_table=min(passes.smallest_table, _SMALLEST_TABLE),
    )


def _sample_rows(loaded: LoadedGenerator, texts: Sequence[str]) -> TokenRows:
    """Texts as sources, or as prompts that leave half of the context for the answer."""
    if loaded.family == "decoder":
        loaded = replace(loaded, max_length=max(1, loaded.max_length // 2))
    return tokenize_sources(loaded, texts)
