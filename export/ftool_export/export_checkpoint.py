"""A checkpoint to a bundle: load, capture, tidy, quantise, judge, write; each stage checked before the next."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from ftool_export.activations import activation_peaks
from ftool_export.architectures import check_exportable
from ftool_export.bundle import write_bundle
from ftool_export.bundle_writer import check_place
from ftool_export.candidate import Candidate
from ftool_export.classifier import LoadedClassifier, compute_logits, load_classifier
from ftool_export.gate import Judge, judge_logits
from ftool_export.graph_session import GraphSession
from ftool_export.passes import PassSettings
from ftool_export.precision import quantize
from ftool_export.probes import SAMPLE_TEXTS
from ftool_export.report import ExportReport
from ftool_export.sensitivity import fewest_left_out, rank_layers
from ftool_export.settings import ExportSettings
from ftool_export.source_graph import SourceGraph, capture_source

log = logging.getLogger(__name__)


def export_checkpoint(
    settings: ExportSettings,
    *,
    loaded: LoadedClassifier | None = None,
    judge: Judge | None = None,
    texts: Sequence[str] = (),
) -> ExportReport:
    """Export a checkpoint to a bundle that runs without torch.

    Args:
        settings: what to export, where to, and how exact.
        loaded: the checkpoint, where the caller has read it already.
        judge: labelled validation texts for the gate; without them accuracy is not judged, and the report says so.
        texts: texts of the model's kind, for golden answers and where there is no judge; samples where empty.

    Returns:
        What was done. `bundle` is None where the gate said no: then nothing was written or replaced.

    Raises:
        CheckpointError: the checkpoint can't be read.
        ExportError: it can't be exported as asked, or a stage failed its guard.
        OSError: the bundle can't be written; what was there is untouched.
    """
    check_place(settings.bundle)
    loaded = loaded or load_classifier(settings.checkpoint)
    check_exportable(loaded.model.config)
    judged = list(judge.texts) if judge else list(texts) or list(SAMPLE_TEXTS)
    source = capture_source(loaded, judged, settings.passes)
    candidate = find_candidate(settings, source, judge, judged)
    files = write_bundle(settings, source, candidate, texts or judged) if candidate.verdict.passed else {}
    return ExportReport(
        bundle=settings.bundle if files else None,
        precision=settings.precision,
        attention=source.attention,
        left_out=candidate.left_out,
        files=files,
        verdict=candidate.verdict,
        largest_logit_difference=source.difference,
        advice=_advice(settings, candidate),
    )


def find_candidate(
    settings: ExportSettings, source: SourceGraph, judge: Judge | None, texts: Sequence[str]
) -> Candidate:
    """The graph in the precision asked for; where the gate refuses it, one that leaves the worst layers out.

    Args:
        settings: the precision, and what it may cost.
        source: the fp32 graph.
        judge: how to score logits on `texts`; None where these have no labels.
        texts: what both torch and the graph answer.

    Returns:
        A candidate that passed; or, where none does, the one with every layer quantised.
    """
    plan = settings.plan
    passes = _measured(settings.passes, source, texts) if plan.smooth else settings.passes
    reference = compute_logits(source.loaded, texts)

    def trial(left_out: Sequence[str]) -> Candidate:
        leaving = replace(passes, left_out=frozenset(left_out))
        graph = quantize(source.model, plan, leaving, source.expected, source.probes)
        logits = GraphSession(graph).logits(source.loaded, texts, one_by_one=plan.rows_share_scale)
        verdict = judge_logits(source.loaded, reference, logits, judge=judge, max_drop=settings.max_drop)
        log.info("%s, leaving out %s: %s", settings.precision, ", ".join(left_out) or "nothing", verdict)
        return Candidate(graph, tuple(left_out), verdict)

    candidate = trial(())
    if candidate.verdict.passed or plan.quantize_products is None:
        return candidate
    log.warning(
        "%s costs %.4f of %s, more than %s; looking for layers to leave out",
        settings.precision,
        candidate.verdict.drop,
        candidate.verdict.metric,
        settings.max_drop,
    )
    ranked = rank_layers(source.model, plan, passes, source.loaded, texts)
    return fewest_left_out(ranked, trial) or candidate


def _measured(passes: PassSettings, source: SourceGraph, texts: Sequence[str]) -> PassSettings:
    peaks = activation_peaks(source.model, source.loaded, texts, passes.smallest)
    return replace(passes, activation_peaks=peaks)


def _advice(settings: ExportSettings, candidate: Candidate) -> str | None:
    verdict = candidate.verdict
    if verdict.passed:
        return (
            None
            if verdict.judged
            else ("accuracy was not judged, as there were no labelled texts; name some with --data")
        )
    others = {"int8": "try --precision w8, which is closer to fp32", "w8": "try --precision fp32"}
    remedy = others.get(settings.precision, "the graph differs from torch: run ftool parity")
    return f"{remedy}, or allow more with --max-drop"
