"""A bundle against its torch reference: the same inputs, alone and in company, in every shape of the grid."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

import ftool_runtime as ft
from ftool_export.checkpoints.encoder import LoadedEncoder, compute_outputs
from ftool_export.errors import ExportError
from ftool_export.examples.base import Examples, shown
from ftool_export.examples.sampling import spread
from ftool_export.graph.probes import make_probes
from ftool_export.graph.session import GraphSession
from ftool_export.parity_report import MetricPair, ParityReport, ShapeDifference, WorstInput, made_from
from ftool_export.tolerances import tolerance_for
from ftool_runtime.bundle.golden import largest_difference
from ftool_runtime.bundle.integrity import check_hashes
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.bundle.paths import MODEL_FILE
from ftool_runtime.session.encoder_engine import Outputs
from ftool_runtime.text.encode import Tokens

_ALONE: Final = 512  # inputs that are also asked alone


def parity(
    loaded: LoadedEncoder, bundle: Path, examples: Examples, *, max_drop: float | None = None
) -> ParityReport:
    """Compare a bundle with the checkpoint it was made from.

    Args:
        loaded: the checkpoint.
        bundle: a bundle folder.
        examples: what both answer.
        max_drop: loss of the main metric allowed to a quantised bundle, in place of the precision's tolerance.

    Returns:
        Every difference with its tolerance; `passed` says whether all are within.

    Raises:
        BundleError: a file of the bundle is altered, the bundle can't be loaded, or it cuts inputs into other
            tokens than the checkpoint.
        ExportError: there are no inputs, or the two are not the same model.
    """
    inputs = examples.inputs
    if not inputs:
        raise ExportError("parity needs inputs to compare on; name some with --data")
    manifest = Manifest.read(bundle)
    check_hashes(bundle, manifest)
    _check_same_model(loaded, manifest, bundle)
    rows = loaded.rows(inputs)
    flat = [row for of_input in rows for row in of_input]
    reference = compute_outputs(loaded, flat)
    with ft.load(bundle) as model:
        outputs = model.outputs(inputs)
        difference = largest_difference(reference, outputs)  # refuses other rows than the reference's
        alone = _with_some_alone(model, inputs, rows, outputs)
    distances = examples.distances(reference, outputs)
    worst = int(distances.argmax())
    return ParityReport(
        precision=manifest.precision.name,
        same_weights=made_from(manifest, loaded.model),
        examples=len(inputs),
        agreement=float(examples.same(reference, outputs).mean()),
        logit_difference=difference,
        probability_difference=float(distances.max()),
        batch_effect=float(examples.distances(outputs, alone).max()),
        grid=_grid(loaded, manifest, bundle, flat),
        metric=_metric(examples, reference, outputs),
        worst=WorstInput(worst, shown(inputs[worst]), float(distances[worst])),
        tolerance=tolerance_for(manifest.precision.name, manifest.task).with_drop(max_drop),
    )


def _check_same_model(loaded: LoadedEncoder, manifest: Manifest, bundle: Path) -> None:
    differing = [name for name, value in loaded.manifest_fields().items() if getattr(manifest, name) != value]
    if differing:
        raise ExportError(
            f"{bundle} has other {', '.join(differing)} than its checkpoint, so it was made from another: export again"
        )
    if loaded.max_length != manifest.input.max_length:
        raise ExportError(
            f"{bundle} cuts texts at {manifest.input.max_length} tokens and its checkpoint at {loaded.max_length}: "
            "export again"
        )


def _with_some_alone(
    model: Any, inputs: Sequence[Any], rows: Sequence[Sequence[Tokens]], outputs: Outputs
) -> Outputs:
    """`outputs`, in which those of some inputs are what the model says when they are asked alone."""
    starts = np.cumsum([0, *(len(of_input) for of_input in rows)])
    mixed = list(outputs)
    for position in spread(range(len(inputs)), _ALONE):
        mixed[starts[position] : starts[position + 1]] = list(model.outputs([inputs[position]]))
    return mixed


def _grid(
    loaded: LoadedEncoder, manifest: Manifest, bundle: Path, rows: Sequence[Tokens]
) -> tuple[ShapeDifference, ...]:
    session = GraphSession(bundle / MODEL_FILE)
    return tuple(
        ShapeDifference(probe.name, probe.difference(session.run(probe.feeds)))
        for probe in make_probes(loaded, rows, manifest.input.names)
    )


def _metric(examples: Examples, reference: Outputs, outputs: Outputs) -> MetricPair | None:
    if examples.metric is None:
        return None
    # Two answers that differ change an average by at most one part in n, and their signs are nearly random.
    differing = (~examples.same(reference, outputs)).any(axis=1).sum()
    allowance = math.sqrt(differing) / len(examples.inputs)
    return MetricPair(examples.metric, examples.score(reference), examples.score(outputs), allowance)
