"""Judge an ONNX graph that another tool exported: the checks of an export's gate, and its faults by name."""

import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ftool_export.bundle.judged import judged_model
from ftool_export.bundle.writer import Draft
from ftool_export.checkpoints.base import LoadedModel
from ftool_export.checkpoints.encoder import LoadedEncoder
from ftool_export.errors import ExportError, GuardError
from ftool_export.examples.base import Examples
from ftool_export.examples.comparison import Examination
from ftool_export.foreign.adapter import read_graph
from ftool_export.foreign.facts import GraphFacts, facts_of
from ftool_export.foreign.fp32_graph import foreign_graphs, missing_inputs
from ftool_export.gate import BATCH_EFFECT, Check, MetricPair, examination_checks, metric_pair
from ftool_export.graph.graphs import Graphs
from ftool_export.graph.guards import check_answers
from ftool_export.passes.drop_mask import MASK
from ftool_export.pipeline import draft_manifest
from ftool_export.precision_plans import precision_plan
from ftool_export.settings import ExportSettings
from ftool_export.tokenizers.check import check_tokens
from ftool_export.tolerances import tolerance_for
from ftool_runtime.errors import BundleError

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class GraphReport:
    """What is right and wrong with an ONNX graph that another tool exported.

    Attributes:
        file: the ONNX file.
        facts: what the graph is made of.
        faults: what is wrong, a sentence each, with a remedy. Failed checks are not repeated here.
        remarks: what is not wrong, but costs size or speed.
        checks: differences from torch with their limits; empty if the graph can't be run on texts.
        metric: the main metric of torch and of the graph; None for inputs without labels.
        found: all differences between answers; None if the graph can't be run on texts.
    """

    file: Path
    facts: GraphFacts
    faults: tuple[str, ...]
    remarks: tuple[str, ...]
    checks: tuple[Check, ...] = ()
    metric: MetricPair | None = None
    found: Examination | None = None

    @property
    def passed(self) -> bool:
        """Whether the graph has no fault, was run, and every difference is within its limit."""
        return not self.faults and bool(self.checks) and all(check.passed for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON."""
        return {
            "passed": self.passed,
            "file": str(self.file),
            **asdict(self.facts),
            "faults": list(self.faults),
            "remarks": list(self.remarks),
            "examples": self.found.comparison.examples if self.found else 0,
            "checks": [asdict(check) for check in self.checks],
            "metric": None if self.metric is None else self.metric.to_json(),
        }


def check_graph(
    file: Path, loaded: LoadedModel, examples: Examples, place: Path, *, max_drop: float
) -> GraphReport:
    """Judge an ONNX file by the answers that the runtime gives with it, and name its faults.

    The graph itself is not changed; inputs of other types and names are converted before it, and outputs after it, as
    in `adapt`. It is written to `place` with the checkpoint's tokenizer, as a bundle that the runtime can load.

    Args:
        file: the ONNX file. Its weights may be in a file beside it.
        loaded: the checkpoint that the file was exported from.
        examples: inputs of the checkpoint's task.
        place: an empty folder.
        max_drop: the largest allowed loss of the main metric.

    Raises:
        ExportError: the file can't be read, the checkpoint is a generator, or there are no examples.
        BundleError: the runtime can't load the graph.
    """
    if not isinstance(loaded, LoadedEncoder):
        raise ExportError(
            "ftool check judges graphs of encoders, and this checkpoint writes texts: `ftool export --checkpoint` "
            "makes graphs of it and proves them, with --layout standard also those that other libraries read"
        )
    if not examples.inputs:
        raise ExportError("there are no examples to compare the graph on; name some with --data")
    model = read_graph(file)
    facts = facts_of(model, loaded.model.state_dict())
    faults, remarks = _faults_of(facts), _remarks_of(facts)
    try:
        graphs = foreign_graphs(model, loaded, examples.inputs)
    except ExportError as error:
        return GraphReport(file=file, facts=facts, faults=(*faults, str(error)), remarks=remarks)
    failed = _failed_probes(graphs, quantized=facts.precision != "fp32")
    faults += (*missing_inputs(graphs, loaded, examples.inputs), *failed)
    report = GraphReport(file=file, facts=facts, faults=faults, remarks=remarks)
    try:
        return _judged(report, graphs, loaded, examples, place, max_drop)
    except BundleError as error:
        return replace(report, faults=(*faults, f"the runtime can't answer with it: {error}"))


def _judged(
    report: GraphReport,
    graphs: Graphs,
    loaded: LoadedEncoder,
    examples: Examples,
    place: Path,
    max_drop: float,
) -> GraphReport:
    """Return the report with the checks of the graph's answers, as the runtime gives them."""
    precision = report.facts.precision
    plan = precision_plan(precision, "cuda" if precision == "fp16" else "cpu")
    settings = ExportSettings(
        bundle=place, name=report.file.stem, precision=precision, device=plan.devices[0]
    )
    draft = Draft(place)
    loaded.write_files(place)
    draft.write_graphs(graphs.models)
    manifest = draft_manifest(settings, loaded, plan, graphs)
    if MASK not in graphs.input_names:
        manifest = replace(manifest, precision=replace(manifest.precision, rows_share_scale=True))
    manifest = draft.write_manifest(manifest)
    with judged_model(place, manifest) as runs:
        check_tokens(loaded, runs)
        found = examples.examine(loaded, runs, examples.compare(loaded, runs))
    limit = tolerance_for(examples.kind, precision)
    checks = examination_checks(found, limit)
    metric = metric_pair(found.comparison, examples, max_drop)
    if metric is not None and not limit.exact:
        checks.append(metric.check)
    faults = report.faults
    if any(check.name == BATCH_EFFECT and not check.passed for check in checks):
        faults += (
            "a text's answer depends on the other texts of its batch, as with one activation scale for the whole "
            "batch: run texts one at a time, or quantise with a scale per row",
        )
    remarks = report.remarks
    same = report.facts.equal_weights
    if same and same[0] == same[1] and found.comparison.agreement < limit.agreement:
        remarks += (
            "all its large matrices are the checkpoint's, so it may pool tokens or end in another head than the "
            "checkpoint; ftool's run/ holds both beside the encoder: docs/fine-tuning.md, Loading run/ without ftool",
        )
    return replace(report, faults=faults, remarks=remarks, checks=tuple(checks), metric=metric, found=found)


def _failed_probes(graphs: Graphs, *, quantized: bool) -> tuple[str, ...]:
    """Return a sentence for each batch of another shape that the graph can't run or answers differently from torch."""
    failed = []
    for probe in graphs.probes:
        try:
            check_answers("adapt", graphs.models, [probe], quantized=quantized)
        except GuardError as error:
            failed.append(str(error).partition(": ")[2])
    return tuple(dict.fromkeys(failed))


def _faults_of(facts: GraphFacts) -> tuple[str, ...]:
    if not facts.saturating:
        return ()
    return (
        f"{len(facts.saturating)} int8 weights use more than 7 bits, so sums overflow on processors without VNNI, "
        "where answers are others: quantise with reduce_range=True",
    )


def _remarks_of(facts: GraphFacts) -> tuple[str, ...]:
    lines = []
    if facts.float_products:
        lines.append(f"{len(facts.float_products)} large matrix products are still in floats")
    if facts.float_tables:
        lines.append(f"embedding tables of {facts.float_tables / 1e6:.1f} MB are still in floats")
    if facts.attention == "plain":
        lines.append("attention is not fused: each is several operators, which take longer")
    if facts.equal_weights and facts.equal_weights[0] < facts.equal_weights[1]:
        same, count = facts.equal_weights
        lines.append(
            f"{count - same} of {count} large float matrices are not the checkpoint's own: fused, or other weights"
        )
    return tuple(lines)
