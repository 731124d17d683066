"""Compare a bundle with its checkpoint on the same inputs, run singly and in batches of several shapes."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import ftool_runtime as ft
from ftool_export.checkpoints.encoder import LoadedEncoder, all_rows
from ftool_export.checkpoints.generator import LoadedGenerator
from ftool_export.checkpoints.pretrained import weights_sha256
from ftool_export.errors import ExportError
from ftool_export.examples.base import Comparison, Examples, shown
from ftool_export.graph.probes import difference, make_probes
from ftool_export.graph.session import open_sessions
from ftool_export.rederive import compare_with_derived
from ftool_export.report import MetricPair, ParityReport, ShapeDifference, WorstInput
from ftool_export.tokenizers.check import check_tokens
from ftool_export.tolerances import MAX_DROP, metric_allowance, tolerance_for
from ftool_runtime.bundle.integrity import check_hashes
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.paths import MODEL_FILE


def parity(loaded: LoadedEncoder | LoadedGenerator, bundle: Path, examples: Examples) -> ParityReport:
    """Compare a bundle with the checkpoint it was made from.

    Generators answer with greedy decoding and with four beams. An fp32 bundle must give torch's tokens, except at a
    tie: torch's two best logits (or, for beams, torch's scores of the two answers) differ by at most 1e-4. Ties are
    counted. A quantised generator must nearly always predict torch's next token after torch's preceding tokens.

    The main metric of a quantised bundle may drop by at most the limit that its export was given. The constants of
    every bundle must equal those obtained by exporting the checkpoint again (module `rederive`).

    Args:
        loaded: the checkpoint.
        bundle: a bundle folder.
        examples: the inputs that bundle and checkpoint answer.

    Returns:
        A report of all differences with their limits; its `passed` is True if all are within their limits.

    Raises:
        BundleError: a file of the bundle was changed, or the bundle can't be loaded.
        ExportError: `examples` is empty, bundle and checkpoint are not the same model, or they turn a text into
            different tokens.
    """
    if not examples.inputs:
        raise ExportError("parity needs examples to compare on; name some with --data")
    manifest = Manifest.read(bundle)
    check_hashes(bundle, manifest)
    check_same_model(loaded, manifest, bundle)
    with ft.load(bundle) as model:
        check_tokens(loaded, model)
        found = examples.examine(loaded, model)
        stored = compare_with_derived(loaded, bundle, manifest, model, examples)
    recorded = manifest.evidence.get("checkpoint_sha256")
    return ParityReport(
        precision=manifest.precision.name,
        same_weights=None if recorded is None else recorded == weights_sha256(loaded.model),
        found=found,
        grid=_grid(loaded, manifest, bundle, examples) if isinstance(loaded, LoadedEncoder) else (),
        worst=_worst(found.comparison, examples) if isinstance(loaded, LoadedEncoder) else None,
        metric=_metric(found.comparison, examples.metric, manifest),
        tolerance=tolerance_for(examples.kind, manifest.precision.name),
        stored=stored,
    )


def check_same_model(loaded: LoadedEncoder | LoadedGenerator, manifest: Manifest, bundle: Path) -> None:
    """Raise ExportError unless manifest and checkpoint agree on the task, the labels and how texts become inputs."""
    expected: dict[str, Any] = {"task": loaded.task}
    actual: dict[str, Any] = {"task": manifest.task}
    if isinstance(loaded, LoadedGenerator):
        expected["family"] = loaded.family
        actual["family"] = manifest.generation and manifest.generation.family
    else:
        expected |= loaded.manifest_fields()
        actual |= {name: getattr(manifest, name) for name in loaded.manifest_fields()}
    for values, contract in (
        (expected, loaded.input_contract(manifest.input.names)),
        (actual, manifest.input),
    ):
        values |= {f"input.{name}": value for name, value in asdict(contract).items()}
    differing = [
        f"{name} ({str(actual[name])[:60]!r} instead of {str(value)[:60]!r})"
        for name, value in expected.items()
        if actual[name] != value
    ]
    if differing:
        raise ExportError(
            f"{bundle} differs from its checkpoint in {', '.join(differing)}, so it was made from another one or "
            "with other settings: export again"
        )


def _grid(
    loaded: LoadedEncoder, manifest: Manifest, bundle: Path, examples: Examples
) -> tuple[ShapeDifference, ...]:
    """Compare the graph's outputs with torch's on batches of several shapes: one or more rows, short, long, padded."""
    sessions = open_sessions({"model": bundle / MODEL_FILE})
    probes = make_probes(loaded, all_rows(loaded, examples.inputs), manifest.input.names)
    return tuple(ShapeDifference(probe.name, difference(probe, probe.run(sessions))) for probe in probes)


def _worst(found: Comparison, examples: Examples) -> WorstInput:
    row = int(found.distances.argmax())
    return WorstInput(row, shown(examples.inputs[row]), found.probability_difference)


def _metric(found: Comparison, metric: str | None, manifest: Manifest) -> MetricPair | None:
    if metric is None or found.scores is None:
        return None
    fp32 = manifest.precision.name == "fp32"
    max_drop = None if fp32 else manifest.evidence.get("gate", {}).get("max_drop", MAX_DROP)
    return MetricPair(metric, *found.scores, max_drop, metric_allowance(found.differing, found.examples))
