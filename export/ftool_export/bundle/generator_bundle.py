"""From captured graphs to the bundle that ships; judged by the runtime before it is put in place."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

import ftool_runtime as ft
from ftool_export.bundle.card import model_card
from ftool_export.bundle.writer import file_records, new_bundle, package_versions, write_card, write_model
from ftool_export.checkpoints.generator import LoadedGenerator, decoder_limit
from ftool_export.checkpoints.generator_inference import TokenRows
from ftool_export.checkpoints.pretrained import weights_sha256
from ftool_export.examples.generation import GenerationExamples
from ftool_export.gate import Verdict, judge
from ftool_export.generator_quantization import GeneratorGraphs, generator_plan
from ftool_export.golden import golden_evidence, make_golden
from ftool_export.settings import ExportSettings
from ftool_runtime.bundle.manifest import (
    FileRecord,
    GenerationContract,
    InputContract,
    Manifest,
    Precision,
    TrainingData,
)
from ftool_runtime.bundle.paths import DECODER_FILE, ENCODER_FILE

_TIMED: Final = 3  # answers of which latency is taken
_TIMED_TOKENS: Final = 32


class GateRefusedError(Exception):
    """The gate said no, so what was written so far is dropped."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(str(verdict))
        self.verdict = verdict


def write_bundle(
    settings: ExportSettings,
    loaded: LoadedGenerator,
    graphs: GeneratorGraphs,
    examples: GenerationExamples,
    *,
    exact_difference: float,
) -> tuple[Mapping[str, FileRecord], Verdict]:
    """Write the bundle that `settings` name, in place of one that is there.

    Args:
        settings: where it goes, and what the gate allows.
        loaded: the torch reference.
        graphs: what ships.
        examples: for the gate; golden answers are those to some of their inputs.
        exact_difference: the largest difference of a logit of the fp32 graphs from torch's, for the record.

    Returns:
        Every file but the manifest, and the gate's verdict.

    Raises:
        GateRefusedError: the verdict is no; what was there is untouched.
        ExportError: the place holds something that is no bundle, or the disk is full.
        OSError: it can't be written; what was there is untouched.
    """
    with new_bundle(settings.bundle) as folder:
        if graphs.encoder is not None:
            write_model(graphs.encoder, folder, ENCODER_FILE)
        write_model(graphs.decoder, folder, DECODER_FILE)
        loaded.write_files(folder)
        _manifest(settings, loaded, graphs, folder, {}).write(folder)
        with ft.load(folder) as model:
            verdict = judge(
                loaded,
                model,
                examples,
                precision=settings.precision,
                max_drop=settings.max_drop,
                allow_drift=settings.allow_drift,
            )
            if not verdict.passed:
                raise GateRefusedError(verdict)
            quantized = settings.plan.quantize_products is not None
            golden = make_golden(loaded, model, examples.inputs, quantized=quantized, texts=settings.golden)
            golden.write(folder)
            evidence = _evidence(loaded, exact_difference, verdict, model, examples.inputs)
            evidence["golden"] = golden_evidence(golden)
        write_card(model_card(_manifest(settings, loaded, graphs, folder, evidence)), folder)
        manifest = _manifest(settings, loaded, graphs, folder, evidence)
        manifest.write(folder)
    return manifest.files, verdict


def _manifest(
    settings: ExportSettings,
    loaded: LoadedGenerator,
    graphs: GeneratorGraphs,
    folder: Path,
    evidence: Mapping[str, Any],
) -> Manifest:
    plan, encoder_decoder = generator_plan(settings.plan), loaded.family == "encoder-decoder"
    return Manifest(
        ftool=ft.__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        task=loaded.task,
        name=settings.model_name,
        architecture=loaded.model.config.model_type,
        base=loaded.base,
        licence=loaded.licence,
        labels=(),
        input=InputContract(
            names=("input_ids", "attention_mask") if encoder_decoder else ("input_ids",),
            max_length=loaded.max_length,
            pad_token_id=loaded.tokenizer.pad_token_id,
            prefix=loaded.prefix,
        ),
        generation=GenerationContract(
            family=loaded.family,
            caches=graphs.caches,
            max_length=decoder_limit(loaded),
            languages=loaded.languages,
        ),
        precision=Precision(
            name=settings.precision, rows_share_scale=plan.rows_share_scale, left_out=(), devices=("cpu",)
        ),
        attention=graphs.attention,
        files=file_records(folder),
        versions=package_versions(),
        training_data=TrainingData(sha256=loaded.training_sha256, examples=loaded.training_examples),
        evidence=evidence,
    )


def _evidence(
    loaded: LoadedGenerator, exact_difference: float, verdict: Verdict, model: Any, rows: TokenRows
) -> dict[str, Any]:
    return {
        "checkpoint_sha256": weights_sha256(loaded.model),
        "gate": verdict.to_json(),
        "fp32_graph": {"largest_logit_difference": exact_difference},
        "latency_ms": {
            "p50": _latency_ms(model, rows[:_TIMED]),
            "note": f"an answer of at most {_TIMED_TOKENS} tokens, one at a time, on the exporting machine",
        },
    }


def _latency_ms(model: Any, rows: Sequence[Sequence[int]]) -> float:
    times = []
    for row in [*rows, *rows]:  # the first time round warms up
        start = time.perf_counter()
        model.generate([row], max_new_tokens=_TIMED_TOKENS, do_sample=False)
        times.append(1000 * (time.perf_counter() - start))
    return round(median(times[len(rows) :]), 3)
