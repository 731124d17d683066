"""A checkpoint to a bundle: load, capture, tidy, quantise, judge, write; each stage checked before the next."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ftool_export.architectures.checks import check_exportable
from ftool_export.bundle.encoder_bundle import write_bundle
from ftool_export.bundle.writer import check_place
from ftool_export.candidate import Candidate
from ftool_export.checkpoints.encoder import LoadedEncoder, all_rows
from ftool_export.errors import ExportError
from ftool_export.examples.base import Examples
from ftool_export.gate import advise, judge
from ftool_export.graph.activations import activation_peaks
from ftool_export.graph.sensitivity import fewest_left_out, rank_layers
from ftool_export.graph.session import GraphSession
from ftool_export.graph.source_graph import SourceGraph, capture_source
from ftool_export.passes import PassSettings
from ftool_export.quantization import quantize
from ftool_export.report import ExportReport
from ftool_export.settings import ExportSettings
from ftool_runtime.session.encoder_engine import Outputs
from ftool_runtime.text.encode import Tokens

log = logging.getLogger(__name__)


def export_checkpoint(settings: ExportSettings, loaded: LoadedEncoder, examples: Examples) -> ExportReport:
    """Export an encoder's checkpoint to a bundle that runs without torch.

    Args:
        settings: where to, and how exact.
        loaded: the checkpoint.
        examples: inputs of its task, from which golden answers are taken too. Where they have labels, those of
            validation, the gate judges by them; elsewhere accuracy is not judged, and the report says so.

    Returns:
        What was done. `bundle` is None where the gate said no: then nothing was written or replaced.

    Raises:
        ExportError: it can't be exported as asked, or a stage failed its guard.
        OSError: the bundle can't be written; what was there is untouched.
    """
    check_place(settings.bundle)
    check_exportable(loaded.model.config)
    if not examples.inputs:
        raise ExportError("no examples to judge the bundle by; name data that has some")
    rows = all_rows(loaded, examples.inputs)
    source = capture_source(loaded, rows, settings.passes)
    candidate = find_candidate(settings, source, examples, rows)
    files = write_bundle(settings, source, candidate, examples.inputs) if candidate.verdict.passed else {}
    return ExportReport(
        bundle=settings.bundle if files else None,
        precision=settings.precision,
        attention=source.attention,
        left_out=candidate.left_out,
        files=files,
        verdict=candidate.verdict,
        largest_logit_difference=source.difference,
        advice=advise(candidate.verdict, settings.precision),
    )


@dataclass(frozen=True, slots=True)
class InMemoryModel:
    """A graph that answers as a bundle loaded by the runtime does, on the checkpoint's own rows of tokens."""

    loaded: LoadedEncoder
    session: GraphSession
    one_by_one: bool

    def outputs(self, inputs: Sequence[Any]) -> Outputs:
        """The graph's outputs for all rows of `inputs`, in order."""
        return self.session.outputs(self.loaded, all_rows(self.loaded, inputs), one_by_one=self.one_by_one)


def find_candidate(
    settings: ExportSettings, source: SourceGraph, examples: Examples, rows: Sequence[Tokens]
) -> Candidate:
    """The graph in the precision asked for; where the gate refuses it, one that leaves the worst layers out.

    Args:
        settings: the precision, and what it may cost.
        source: the fp32 graph.
        examples: what both torch and the graph answer.
        rows: the rows of all its inputs.

    Returns:
        A candidate that passed; or, where none does, the one with every layer quantised.
    """
    plan = settings.plan
    passes = _measured(settings.passes, source, rows) if plan.smooth else settings.passes

    def trial(left_out: Sequence[str]) -> Candidate:
        leaving = replace(passes, left_out=frozenset(left_out))
        graph = quantize(source.model, plan, leaving, source.expected, source.probes)
        model = InMemoryModel(source.loaded, GraphSession(graph), one_by_one=plan.rows_share_scale)
        verdict = judge(
            source.loaded,
            model,
            examples,
            precision=settings.precision,
            max_drop=settings.max_drop,
            allow_drift=settings.allow_drift,
        )
        log.info("%s, leaving out %s: %s", settings.precision, ", ".join(left_out) or "nothing", verdict)
        return Candidate(graph, tuple(left_out), verdict)

    candidate = trial(())
    if candidate.verdict.passed or plan.quantize_products is None:
        return candidate
    log.warning(
        "%s is too far from torch (%s); searching for layers to leave out",
        settings.precision,
        candidate.verdict,
    )
    ranked = rank_layers(source.model, plan, passes, source.loaded, rows)
    return fewest_left_out(ranked, trial) or candidate


def _measured(passes: PassSettings, source: SourceGraph, rows: Sequence[Tokens]) -> PassSettings:
    peaks = activation_peaks(source.model, source.loaded, rows, passes.smallest)
    return replace(passes, activation_peaks=peaks)
