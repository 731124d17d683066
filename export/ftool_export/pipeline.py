"""Export a checkpoint: capture, tidy and quantise graphs, write a draft, and keep the draft if it passes the gate."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from statistics import median
from typing import Any, Final

import ftool_runtime as ft
from ftool_export.bundle.writer import Draft, check_place, new_bundle, package_versions
from ftool_export.checkpoints.base import LoadedModel
from ftool_export.checkpoints.encoder import LoadedEncoder, all_rows
from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_export.checkpoints.pretrained import weights_sha256
from ftool_export.errors import ExportError
from ftool_export.examples.base import Examples
from ftool_export.examples.generation import GenerationExamples
from ftool_export.gate import Verdict, advise, judge
from ftool_export.golden import choose_inputs, golden_evidence, make_golden
from ftool_export.graph.activations import activation_peaks
from ftool_export.graph.graphs import Graphs, capture
from ftool_export.graph.sensitivity import fewest_left_out, rank_layers
from ftool_export.passes import PassSettings
from ftool_export.passes.smooth_activations import smoothing_multipliers
from ftool_export.quantization import PrecisionPlan, precision_plan, quantize, tidy
from ftool_export.report import ExportReport
from ftool_export.settings import ExportSettings
from ftool_export.tokenizers.check import check_tokens
from ftool_export.tolerances import tolerance_for
from ftool_runtime.bundle.manifest import Manifest, Precision, TrainingData
from ftool_runtime.text.encode import Tokens

log = logging.getLogger(__name__)

_TIMED_ROUNDS: Final = 5
_TIMED_TEXTS: Final = 3  # inputs on which a generator's latency is measured
_TIMED_TOKENS: Final = 32  # the most tokens of an answer that is timed


def export(
    settings: ExportSettings, loaded: LoadedModel, examples: Examples, *, captured: Graphs | None = None
) -> ExportReport:
    """Export a checkpoint to a bundle that runs without torch.

    Args:
        settings: the bundle's folder, precision and limits.
        loaded: the checkpoint.
        examples: inputs of the checkpoint's task, on which the bundle, loaded by the runtime, is compared with torch.
            Labelled examples should come from the validation split, because the gate measures accuracy on them.
            Without labels accuracy is not measured, and the report says so.
        captured: the checkpoint's fp32 graphs from `capture_source`, if they were already captured for an export in
            another precision; None captures them.

    Returns:
        The report. Its `bundle` is None if the gate refused the bundle; then nothing was written or replaced.

    Raises:
        ExportError: the checkpoint can't be exported with these settings, or a stage of the export failed its check.
        OSError: the bundle can't be written; an existing bundle is unchanged.
    """
    check_place(settings.bundle)
    plan = precision_plan(settings.precision, settings.device, loaded.family)
    if not examples.inputs:
        raise ExportError("there are no examples to compare the bundle on; name data that has some")
    rows = all_rows(loaded, examples.inputs) if isinstance(loaded, LoadedEncoder) else ()
    source = captured or capture_source(loaded, rows, settings.passes)
    passes = _plan_settings(settings, plan, loaded, rows, source)
    left_out: tuple[str, ...] = ()
    manifest = None
    try:
        with new_bundle(settings.bundle) as draft:
            trials = _Trials(settings, loaded, examples, plan, passes, source, draft)
            left_out, verdict = _settle(trials, rows)
            if not verdict.passed:
                raise _RefusedError
            manifest = _finish(trials, verdict)
    except _RefusedError:
        pass
    return ExportReport(
        bundle=settings.bundle if manifest else None,
        precision=settings.precision,
        attention=source.attention,
        left_out=left_out,
        files=manifest.files if manifest else {},
        verdict=verdict,
        largest_logit_difference=source.difference,
        advice=advise(verdict, settings.precision),
    )


def _plan_settings(
    settings: ExportSettings,
    plan: PrecisionPlan,
    loaded: LoadedModel,
    rows: Sequence[Tokens],
    source: Graphs,
) -> PassSettings:
    """Return the settings of the plan's passes; if the plan smooths, with multipliers for the activations on `rows`."""
    passes = plan.settings(settings.passes)
    if not (plan.smooth and isinstance(loaded, LoadedEncoder)):
        return passes
    peaks = activation_peaks(source.models["model"], loaded, rows, passes.smallest)
    return replace(passes, smoothing=smoothing_multipliers(peaks))


def capture_source(loaded: LoadedModel, rows: Sequence[Tokens], passes: PassSettings) -> Graphs:
    """Capture and tidy the fp32 graphs from which every precision starts, and check each stage.

    Args:
        loaded: the checkpoint, in evaluation mode and float32 on the CPU; it is not changed.
        rows: for encoders, token rows of inputs of the task, at least one; empty for generators.
        passes: settings of the passes.

    Raises:
        ExportError: the network can't be captured, or a stage of the export failed its check.
    """
    return tidy(capture(loaded, rows), passes)


class _RefusedError(Exception):
    """Raised to discard the draft of a bundle that failed the gate."""


@dataclass(slots=True)
class _Trials:
    """The drafts of one export: each replaces the previous one, is loaded by the runtime, and goes through the gate."""

    settings: ExportSettings
    loaded: LoadedModel
    examples: Examples
    plan: PrecisionPlan
    passes: PassSettings
    source: Graphs
    draft: Draft
    manifest: Manifest = field(init=False)  # of the current draft
    reads_batch: bool = field(init=False, default=False)  # whether an encoder does so in fp32 too

    def __post_init__(self) -> None:
        self.loaded.write_files(self.draft.folder)
        self.manifest = _manifest(self.settings, self.loaded, self.plan, self.source)
        if isinstance(self.loaded, LoadedEncoder) and not self.plan.rows_share_scale:
            self.reads_batch = (
                self.loaded.model.reads_padding or self.source.batch_effect(quantized=False) > 1
            )

    def judge(self, left_out: Sequence[str]) -> Verdict:
        """Write a draft in which the layers `left_out` keep a higher precision, and return the gate's verdict."""
        self._write(left_out)
        with ft.load(self.draft.folder, device="cpu") as model:
            if not left_out:  # tokens don't depend on the layers left out
                check_tokens(self.loaded, model)
            verdict = judge(
                self.loaded,
                model,
                self.examples,
                precision=self.settings.precision,
                max_drop=self.settings.max_drop,
                allow_drift=self.settings.allow_drift,
            )
        log.info("%s, leaving out %s: %s", self.settings.precision, ", ".join(left_out) or "nothing", verdict)
        return verdict

    def _write(self, left_out: Sequence[str]) -> None:
        graphs = quantize(self.source, self.plan, replace(self.passes, left_out=frozenset(left_out)))
        self.draft.write_graphs(graphs.models)
        self._write_manifest(left_out, singly=self.plan.rows_share_scale)
        if not self.plan.rows_share_scale and self._depends_on_batch(graphs):
            log.warning(
                "%s in %s answers differently in a batch and singly, so its bundle runs inputs one at a time",
                self.loaded.config.model_type,
                self.settings.precision,
            )
            self._write_manifest(left_out, singly=True)

    def _write_manifest(self, left_out: Sequence[str], *, singly: bool) -> None:
        precision = replace(self.manifest.precision, left_out=tuple(left_out), rows_share_scale=singly)
        self.manifest = self.draft.write_manifest(replace(self.manifest, precision=precision))

    def _depends_on_batch(self, graphs: Graphs) -> bool:
        """Return whether an input's answer depends on the other inputs of its batch by more than rounding."""
        if isinstance(self.loaded, LoadedEncoder):
            quantized = self.plan.quantize_products is not None
            return self.reads_batch or (quantized and graphs.batch_effect(quantized=True) > 1)
        assert isinstance(self.examples, GenerationExamples)
        with ft.load(
            self.draft.folder, device="cpu"
        ) as model:  # its batches differ from those of the graphs' probes
            _, effect = self.examples.batch_effect(model)
        return effect > tolerance_for("text", self.settings.precision).batch_effect


def _settle(trials: _Trials, rows: Sequence[Tokens]) -> tuple[tuple[str, ...], Verdict]:
    """Return the fewest layers to leave out of quantisation so that the draft passes the gate, and the gate's verdict.

    If no draft passes, return no layers, and the verdict on the draft with every layer quantised.
    """
    verdict = trials.judge(())
    if verdict.passed or not trials.plan.search or not isinstance(trials.loaded, LoadedEncoder):
        return (), verdict
    log.warning(
        "%s with every layer quantised is too far from torch (%s); searching for layers to leave out",
        trials.settings.precision,
        verdict,
    )
    ranked = rank_layers(trials.source.models["model"], trials.plan, trials.passes, trials.loaded, rows)
    found = fewest_left_out(ranked, trials.judge)
    if found is None:
        return (), verdict
    return found, trials.judge(found)


def _finish(trials: _Trials, verdict: Verdict) -> Manifest:
    """Add golden answers, model card and final manifest to the draft that passed the gate; return the manifest."""
    settings, loaded, inputs = trials.settings, trials.loaded, trials.examples.inputs
    quantized = trials.plan.quantize_products is not None
    with ft.load(trials.draft.folder, device="cpu") as model:
        golden = make_golden(loaded, model, inputs, quantized=quantized, texts=settings.golden)
        golden.write(trials.draft.folder)
        if loaded.family == "encoder":
            latency = _latency_ms(model, choose_inputs(inputs), _TIMED_ROUNDS)
            note = "one input at a time on the exporting machine"
        else:
            latency = _latency_ms(_short_answers(model), inputs[:_TIMED_TEXTS], rounds=2)
            note = f"an answer of at most {_TIMED_TOKENS} tokens, one at a time, on the exporting machine"
    evidence = {
        "checkpoint_sha256": weights_sha256(loaded.model),
        "quantization": trials.passes.to_json(),
        "gate": verdict.to_json(),
        "fp32_graph": {
            "largest_logit_difference": trials.source.difference,
            "probes": len(trials.source.probes),
            "reads_padding": isinstance(loaded, LoadedEncoder) and loaded.model.reads_padding,
        },
        "latency_ms": {"p50": latency, "note": note},
        "golden": golden_evidence(golden),
    }
    return trials.draft.finish(replace(trials.manifest, evidence=evidence))


def _manifest(settings: ExportSettings, loaded: LoadedModel, plan: PrecisionPlan, source: Graphs) -> Manifest:
    fields = loaded.manifest_fields()
    if isinstance(loaded, LoadedGenerator):
        assert source.caches is not None
        fields["generation"] = loaded.generation_contract(source.caches)
    return Manifest(
        ftool=ft.__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        task=loaded.task,
        name=settings.model_name,
        architecture=loaded.config.model_type,
        base=loaded.base,
        licence=loaded.licence,
        **fields,
        input=loaded.input_contract(source.input_names),
        precision=Precision(
            name=settings.precision, rows_share_scale=plan.rows_share_scale, devices=plan.devices
        ),
        attention=source.attention,
        files={},
        versions=package_versions(),
        training_data=TrainingData(sha256=loaded.training_sha256, examples=loaded.training_examples),
    )


def _short_answers(model: Any) -> Callable[[Sequence[int]], Any]:
    return lambda row: model.generate([row], max_new_tokens=_TIMED_TOKENS, do_sample=False)


def _latency_ms(answer: Callable[[Any], Any], inputs: Sequence[Any], rounds: int) -> float:
    """Return the median time of an answer in milliseconds; the first round is a warm-up and does not count."""
    times = []
    for _ in range(rounds):
        for given in inputs:
            start = time.perf_counter()
            answer(given)
            times.append(1000 * (time.perf_counter() - start))
    return round(median(times[len(inputs) :]), 3)
