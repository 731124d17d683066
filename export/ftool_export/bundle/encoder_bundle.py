"""From a candidate that passed the gate to the bundle that ships."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

import ftool_runtime as ft
from ftool_export.bundle.card import model_card
from ftool_export.bundle.writer import (
    file_records,
    new_bundle,
    package_versions,
    write_card,
    write_model,
)
from ftool_export.candidate import Candidate
from ftool_export.checkpoints.pretrained import weights_sha256
from ftool_export.golden import choose_inputs, golden_evidence, make_golden
from ftool_export.graph.source_graph import SourceGraph
from ftool_export.settings import ExportSettings
from ftool_runtime.bundle.manifest import FileRecord, InputContract, Manifest, Precision, TrainingData
from ftool_runtime.models.encoder_model import EncoderModel

_TIMED_ROUNDS: Final = 5


def write_bundle(
    settings: ExportSettings, source: SourceGraph, candidate: Candidate, inputs: Sequence[Any]
) -> Mapping[str, FileRecord]:
    """Write the bundle that `settings` name, in place of one that is there.

    The files are loaded and run by the runtime before they are put in place: golden answers and latency are those of
    what ships.

    Args:
        settings: where it goes.
        source: the reference and its graph.
        candidate: the graph that ships.
        inputs: of the user's data; some are timed, and golden if `settings` say so.

    Returns:
        Every file but the manifest.

    Raises:
        ExportError: the place holds something that is no bundle, or the disk is full.
        OSError: it can't be written; what was there is untouched.
    """
    with new_bundle(settings.bundle) as folder:
        write_model(candidate.graph, folder)
        source.loaded.write_files(folder)
        _manifest(settings, source, candidate, folder, {}).write(folder)
        with ft.load(folder, device="cpu") as model:
            latency = _latency_ms(model, choose_inputs(inputs))
            quantized = settings.plan.quantize_products is not None
            golden = make_golden(source.loaded, model, inputs, quantized=quantized, texts=settings.golden)
        golden.write(folder)
        evidence = {**_evidence(source, candidate, latency), "golden": golden_evidence(golden)}
        write_card(model_card(_manifest(settings, source, candidate, folder, evidence)), folder)
        manifest = _manifest(settings, source, candidate, folder, evidence)
        manifest.write(folder)
    return manifest.files


def _manifest(
    settings: ExportSettings,
    source: SourceGraph,
    candidate: Candidate,
    folder: Path,
    evidence: Mapping[str, Any],
) -> Manifest:
    loaded, plan = source.loaded, settings.plan
    return Manifest(
        ftool=ft.__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        task=settings.task,
        name=settings.model_name,
        architecture=loaded.model.config.model_type,
        base=loaded.base,
        licence=loaded.licence,
        **loaded.manifest_fields(),
        input=InputContract(
            names=source.expected.input_names,
            max_length=loaded.max_length,
            pad_token_id=loaded.tokenizer.pad_token_id,
            pad_token_type_id=loaded.tokenizer.pad_token_type_id,
            prefix=loaded.prefix,
        ),
        precision=Precision(
            name=settings.precision,
            rows_share_scale=plan.rows_share_scale,
            left_out=candidate.left_out,
            devices=plan.devices,
        ),
        attention=source.attention,
        files=file_records(folder),
        versions=package_versions(),
        training_data=TrainingData(sha256=loaded.training_sha256, examples=loaded.training_examples),
        evidence=evidence,
    )


def _evidence(source: SourceGraph, candidate: Candidate, latency_ms: float) -> dict[str, Any]:
    return {
        "checkpoint_sha256": weights_sha256(source.loaded.model),
        "gate": candidate.verdict.to_json(),
        "fp32_graph": {"largest_logit_difference": source.difference, "probes": len(source.probes)},
        "latency_ms": {"p50": latency_ms, "note": "one input at a time on the exporting machine"},
    }


def _latency_ms(model: EncoderModel[Any, Any], inputs: Sequence[Any]) -> float:
    """The median time of an answer, tokenising included, once everything is warm."""
    times = []
    for _ in range(_TIMED_ROUNDS):
        for given in inputs:
            start = time.perf_counter()
            model(given)
            times.append(1000 * (time.perf_counter() - start))
    return round(median(times[len(inputs) :]), 3)
