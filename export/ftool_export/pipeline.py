"""Export a checkpoint: capture, tidy and quantise graphs, write a draft, and keep the draft if it passes the gate."""

import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from statistics import median
from typing import Any, Final

import ftool_runtime as ft
from ftool_export.bundle.disclosure import disclosed, disclosure
from ftool_export.bundle.judged import DEVICE, judged_model
from ftool_export.bundle.writer import EXPORT, Draft, check_place, new_bundle, package_versions
from ftool_export.capture.torch_export import OUTPUT
from ftool_export.checkpoints.base import LoadedModel
from ftool_export.checkpoints.pretrained import weights_sha256
from ftool_export.errors import ExportError, FarFromTorchError
from ftool_export.examples.base import Examples
from ftool_export.examples.comparison import LatencyCall
from ftool_export.gate import Verdict, advise, judge
from ftool_export.golden import golden_evidence, make_golden
from ftool_export.graph.activations import InputStatistics, input_statistics
from ftool_export.graph.graphs import Graphs, capture
from ftool_export.graph.sensitivity import fewest_left_out, outputs_on, rank_layers
from ftool_export.layouts.standard import complete, shared_weights
from ftool_export.layouts.transformers_js import CONFIG_KEY, transformers_js_config
from ftool_export.passes import PassSettings
from ftool_export.passes.drop_mask import MASK
from ftool_export.passes.matching import widest_activation
from ftool_export.passes.move_scales import input_divisors, measured_moves
from ftool_export.passes.quantize_static import measured_levels
from ftool_export.passes.smooth_activations import smoothing_multipliers
from ftool_export.precision_plans import PrecisionPlan, precision_plan
from ftool_export.quantization import check_tables, move_scales, quantize, tidy
from ftool_export.report import ExportReport
from ftool_export.settings import ExportSettings
from ftool_export.teaching import ReplayTexts, begin_teaching, finish_teaching
from ftool_export.tokenizers.check import check_tokens
from ftool_runtime.bundle.manifest import Manifest, Precision, TrainingData
from ftool_runtime.bundle.origin import with_origin
from ftool_runtime.errors import BundleError
from ftool_runtime.locks import writing

PRODUCER: Final = "exported_by"  # in the evidence on an fp32 graph that another tool exported: the tool

log = logging.getLogger(__name__)


def export(
    settings: ExportSettings,
    loaded: LoadedModel,
    examples: Examples,
    *,
    captured: Graphs | None = None,
    replay: ReplayTexts | None = None,
) -> ExportReport:
    """Export a checkpoint to a bundle that runs without torch.

    Args:
        settings: the bundle's folder, precision and limits.
        loaded: the checkpoint.
        examples: inputs of the checkpoint's task, on which the bundle, loaded by the runtime, is compared with torch.
            Labelled examples should come from the validation split, because the gate measures accuracy on them.
            Without labels accuracy is not measured, and the report says so.
        captured: the checkpoint's fp32 graphs from `capture_source`, if they were already captured for an export in
            another precision, or from `foreign_source`; None captures them.
        replay: training texts whose features a bundle that can be taught keeps; None for other bundles.

    Returns:
        The report. Its `bundle` is None if the gate refused the bundle; then nothing was written or replaced.

    Raises:
        BusyError: another process writes the bundle.
        ExportError: the checkpoint can't be exported with these settings, or a stage of the export failed its check.
        OSError: the bundle can't be written; an existing bundle is unchanged.
    """
    if settings.teachable != (replay is not None):
        raise ExportError(
            "a bundle that can be taught keeps features of training texts: name data to train on"
        )
    check_place(settings.bundle)
    with writing(settings.bundle, EXPORT):
        return _export(settings, loaded, examples, captured, replay)


def _export(
    settings: ExportSettings,
    loaded: LoadedModel,
    examples: Examples,
    captured: Graphs | None,
    replay: ReplayTexts | None,
) -> ExportReport:
    plan = precision_plan(settings.precision, settings.device, loaded.family, settings.layout)
    if not examples.inputs:
        raise ExportError("there are no examples to compare the bundle on; name data that has some")
    source = captured or capture_source(loaded, examples.inputs, settings.passes)
    check_tables(source, plan, plan.settings(settings.passes))
    source, passes = _prepare(settings, plan, loaded, examples, source)
    manifest = None
    with contextlib.suppress(_RefusedError), new_bundle(settings.bundle) as draft:
        trials = _Trials(settings, loaded, examples, plan, passes, source, draft, replay)
        verdict = _settle(trials)
        if not verdict.passed:
            raise _RefusedError
        manifest = _finish(trials, verdict)
    return ExportReport(
        bundle=settings.bundle if manifest else None,
        precision=settings.precision,
        attention=source.attention,
        left_out=manifest.precision.left_out if manifest else (),
        in_fp32=manifest.precision.in_fp32 if manifest else (),
        files=manifest.files if manifest else {},
        verdict=verdict,
        largest_logit_difference=source.difference,
        device=settings.device,
        proof=proof_of(plan),
        disclosed=tuple(disclosed(manifest)) if manifest else (),
        disclosure=disclosure(manifest) if manifest else "",
        advice=advise(verdict, plan.closer, settings.passes.embedding_bits),
    )


def _prepare(
    settings: ExportSettings, plan: PrecisionPlan, loaded: LoadedModel, examples: Examples, source: Graphs
) -> tuple[Graphs, PassSettings]:
    """Return the fp32 graphs to quantise, and the passes' settings with what the plan needs to know of activations."""
    passes = plan.settings(settings.passes)
    if plan.quantize_products is None:
        return source, passes
    found = input_statistics(source.models, loaded, examples.inputs, passes.smallest)
    peaks = {name: one.peaks for name, one in found.items()}
    models = source.models.values()
    moved = {name: one for model in models for name, one in measured_moves(model, peaks).items()}
    divisors = {name: one for model in models for name, one in input_divisors(model, moved).items()}
    if moved:
        log.info(
            "layers whose channels' scales are moved, because a few are far larger than others: %d",
            len(moved),
        )
    found = {name: one.divided(divisors[name]) if name in divisors else one for name, one in found.items()}
    passes = _measured(replace(passes, moved=moved), plan, found)
    return move_scales(source, passes), passes


def _measured(
    passes: PassSettings, plan: PrecisionPlan, found: Mapping[str, InputStatistics]
) -> PassSettings:
    """Return `passes` with what the plan needs to know of the products' inputs."""
    if plan.smooth:
        peaks = {name: one.peaks for name, one in found.items()}
        passes = replace(passes, smoothing=smoothing_multipliers(peaks))
    if plan.calibrate:
        ranges = {name: (one.lowest, one.highest) for name, one in found.items()}
        passes = replace(passes, inputs=measured_levels(ranges, passes.smoothing))
    if plan.feedback:
        passes = replace(passes, grams={name: one.gram for name, one in found.items()})
    return passes


def capture_source(loaded: LoadedModel, inputs: Sequence[Any], passes: PassSettings) -> Graphs:
    """Capture and tidy the fp32 graphs from which every precision starts, and check each stage.

    Args:
        loaded: the checkpoint, in evaluation mode and float32 on the CPU; it is not changed.
        inputs: for encoders, at least one input of the task, on which the graph is compared with torch. Generators'
            graphs are compared on ftool's own texts.
        passes: settings of the passes.

    Raises:
        ExportError: the network can't be captured, or a stage of the export failed its check.
    """
    found = capture(loaded, inputs, with_parts=passes.layout == "standard", with_features=passes.teachable)
    return tidy(found, passes)


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
    replay: ReplayTexts | None
    manifest: Manifest = field(init=False)  # of the current draft
    singly: bool = field(init=False)  # whether rows run one at a time

    def __post_init__(self) -> None:
        self.loaded.write_files(self.draft.folder)
        if self.settings.layout == "standard":
            self.loaded.write_standard_files(self.draft.folder)
        self.manifest = draft_manifest(self.settings, self.loaded, self.plan, self.source)
        if self.replay is not None:
            self.manifest = begin_teaching(self.draft, self.manifest, self.loaded, self.replay)
        self.singly = self.plan.rows_share_scale or self.loaded.reads_padding

    def judge(self, left_out: Sequence[str] = (), *, in_fp32: bool = False) -> Verdict:
        """Write a draft in which the layers `left_out` keep a higher precision, and return the gate's verdict.

        With `in_fp32` they stay in fp32, otherwise they get the precision that the plan has for them.

        If an input's answer depends on the other inputs of its batch, the draft is changed to run inputs one at a time.
        """
        finest = tuple(left_out) if in_fp32 else ()
        passes = replace(self.passes, left_out=frozenset(left_out), in_fp32=frozenset(finest))
        graphs = quantize(self.source, self.plan, passes)
        self.draft.write_graphs(graphs.models, shared_weights(self.loaded, self.settings.layout))
        self._write_manifest(left_out, finest)
        verdict = self._verdict()
        if verdict.depends_on_batch and not self.singly:
            log.warning(
                "%s in %s answers differently in a batch and singly, so its bundle runs inputs one at a time",
                self.loaded.config.model_type,
                self.settings.precision,
            )
            self.singly = True
            self._write_manifest(left_out, finest)
            verdict = self._verdict()
        self._log(left_out, verdict)
        return verdict

    def passes_gate(self, left_out: Sequence[str], *, in_fp32: bool) -> bool:
        """Return whether a draft in which the layers `left_out` keep a higher precision, as for `judge`, passes."""
        try:
            return self.judge(left_out, in_fp32=in_fp32).passed
        except FarFromTorchError as error:
            self._log(left_out, error)
            return False

    def _log(self, left_out: Sequence[str], result: Verdict | FarFromTorchError) -> None:
        log.info("%s, leaving out %s: %s", self.settings.precision, ", ".join(left_out) or "nothing", result)

    def _write_manifest(self, left_out: Sequence[str], in_fp32: tuple[str, ...]) -> None:
        precision = replace(
            self.manifest.precision,
            left_out=tuple(left_out),
            in_fp32=in_fp32,
            rows_share_scale=self.singly,
        )
        self.manifest = self.draft.write_manifest(replace(self.manifest, precision=precision))

    def _verdict(self) -> Verdict:
        with judged_model(self.draft.folder, self.manifest) as model:
            check_tokens(self.loaded, model)
            try:
                return judge(
                    self.loaded,
                    model,
                    self.examples,
                    precision=self.settings.precision,
                    max_drop=self.settings.max_drop,
                    allow_drift=self.settings.allow_drift,
                )
            except BundleError as error:  # from outputs that are not finite
                if self.plan.half:
                    raise ExportError(f"in float16: {error}; or use --precision fp32") from error
                raise


def _settle(trials: _Trials) -> Verdict:
    """Write the draft that passes the gate with the fewest layers left out of quantisation; return the gate's verdict.

    The layers get the precision that the plan has for layers left out, or fp32 if no draft passes with that. If no
    draft passes at all, return the verdict on the draft with every layer quantised. If that draft was so far from torch
    that it was not judged, raises FarFromTorchError.
    """
    verdict: Verdict | FarFromTorchError
    try:
        verdict = trials.judge()
        if verdict.passed or trials.plan.quantize_products is None:
            return verdict
    except FarFromTorchError as error:
        verdict = error
    log.warning(
        "%s with every layer quantised is too far from torch (%s); searching for layers to leave out",
        trials.settings.precision,
        verdict,
    )
    outputs = outputs_on(trials.loaded, trials.examples.inputs, trials.plan)
    ranked = rank_layers(trials.source.models, trials.plan, trials.passes, outputs)
    for in_fp32 in (False,) if trials.plan.quantize_left_out is None else (False, True):
        found = fewest_left_out(ranked, partial(trials.passes_gate, in_fp32=in_fp32))
        if found is not None:
            return trials.judge(found, in_fp32=in_fp32)
    if isinstance(verdict, FarFromTorchError):
        raise verdict
    return verdict


def _finish(trials: _Trials, verdict: Verdict) -> Manifest:
    """Add golden answers, model card and final manifest to the draft that passed the gate; return the manifest."""
    settings, loaded, inputs = trials.settings, trials.loaded, trials.examples.inputs
    quantized = trials.plan.quantize_products is not None
    half = trials.plan.half
    if trials.replay is not None:
        trials.manifest = finish_teaching(trials.draft, trials.manifest, loaded, trials.replay)
    with judged_model(trials.draft.folder, trials.manifest) as model:
        golden = make_golden(loaded, model, inputs, quantized=quantized, half=half, texts=settings.golden)
        with_origin(golden, trials.draft.folder, trials.manifest).write(trials.draft.folder)
        latency = (
            {} if half else _latency(trials.examples.latency_call(model))
        )  # the CPU's says nothing about a GPU
        if settings.layout == "standard":
            exact = settings.precision == "fp32"
            standard = complete(trials.draft.folder, loaded, model, inputs, exact=exact)
    evidence = {
        "checkpoint_sha256": weights_sha256(loaded.model),
        "quantization": trials.passes.to_json(),
        "gate": verdict.to_json(),
        "fp32_graph": {
            "largest_logit_difference": trials.source.difference,
            "probes": len(trials.source.probes),
            "reads_padding": loaded.reads_padding,
            **({PRODUCER: trials.source.producer} if trials.source.producer else {}),
        },
        **latency,
        "golden": golden_evidence(golden),
        "proof": proof_of(trials.plan),
        **({"standard_layout": standard} if settings.layout == "standard" else {}),
    }
    if (found := transformers_js_config(trials.draft.folder)) is not None:
        trials.draft.add_to_config(CONFIG_KEY, found)
    return trials.draft.finish(replace(trials.manifest, evidence=evidence))


def proof_of(plan: PrecisionPlan) -> dict[str, str]:
    """Return where and in which arithmetic the gate runs bundles of a plan, for reports and the manifest's evidence."""
    arithmetic = "float16, imitated: rounded after every operator" if plan.half else "the bundle's own"
    return {"device": DEVICE, "arithmetic": arithmetic}


def draft_manifest(
    settings: ExportSettings, loaded: LoadedModel, plan: PrecisionPlan, source: Graphs
) -> Manifest:
    """Return the manifest of a draft whose graphs have the plan's precision, as yet without files and evidence."""
    return Manifest(
        ftool=ft.__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        task=loaded.task,
        name=settings.model_name,
        architecture=loaded.config.model_type,
        base=loaded.base,
        licence=loaded.licence,
        **loaded.manifest_fields(),
        generation=loaded.generation_contract(source.caches),
        input=loaded.input_contract(
            [name for name in source.input_names if name != MASK or not plan.drop_mask]
        ),
        precision=Precision(
            name=settings.precision,
            rows_share_scale=plan.rows_share_scale,
            devices=plan.devices,
            embedding_bits=settings.passes.embedding_bits,
        ),
        attention=source.attention,
        layout=settings.layout,
        output=loaded.standard_output if settings.layout == "standard" else OUTPUT,
        widest_activation=widest_activation(source.models["model"]) if "model" in source.models else None,
        files={},
        versions=package_versions(),
        training_data=TrainingData(sha256=loaded.training_sha256, examples=loaded.training_examples),
    )


def _latency(timed: LatencyCall) -> dict[str, Any]:
    """Return evidence of the median time of an answer; the first round is a warm-up and does not count."""
    times = []
    for _ in range(timed.rounds):
        for given in timed.inputs:
            start = time.perf_counter()
            timed.call(given)
            times.append(1000 * (time.perf_counter() - start))
    return {"latency_ms": {"p50": round(median(times[len(timed.inputs) :]), 3), "note": timed.note}}
