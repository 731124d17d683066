"""Whether a bundle is its torch reference: on real texts through the runtime, and on a grid of shapes."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

import ftool_runtime as ft
from ftool_export.answers import Logits, agreement, applying_labels, probability_distance
from ftool_export.classifier import LoadedClassifier, compute_logits
from ftool_export.errors import ExportError
from ftool_export.gate import Judge
from ftool_export.graph_session import GraphSession
from ftool_export.parity_report import MetricPair, ParityReport, ShapeDifference, WorstText
from ftool_export.probes import make_probes
from ftool_export.sampling import spread
from ftool_export.tolerances import TOLERANCES, Tolerance
from ftool_runtime.bundle_paths import MODEL_FILE
from ftool_runtime.manifest import Manifest

_ALONE: Final = 512  # texts that are also asked alone


def parity(
    loaded: LoadedClassifier,
    bundle: Path,
    texts: Sequence[str],
    *,
    judge: Judge | None = None,
    max_drop: float | None = None,
) -> ParityReport:
    """Compare a bundle with the checkpoint it was made from.

    Args:
        loaded: the checkpoint.
        bundle: a bundle folder.
        texts: what both answer; the judge's texts where there is a judge.
        judge: how to score logits on `texts`; None where they have no labels.
        max_drop: loss of the main metric allowed to a quantised bundle, in place of the precision's tolerance.

    Returns:
        Every difference with its tolerance; `passed` says whether all are within.

    Raises:
        BundleError: the bundle can't be loaded.
        ExportError: there are no texts, or the two are not the same model.
    """
    if not texts:
        raise ExportError("parity needs texts to compare on; name some with --data")
    manifest = Manifest.read(bundle)
    _check_same_model(loaded, manifest, bundle)
    reference = compute_logits(loaded, texts)
    with ft.load(bundle) as model:
        logits = model.logits(texts)
        batch_effect = _batch_effect(loaded, model, spread(texts, _ALONE))
    distance = probability_distance(loaded, reference, logits)
    worst = int(distance.max(axis=1).argmax())
    return ParityReport(
        precision=manifest.precision.name,
        examples=len(texts),
        agreement=agreement(loaded, reference, logits),
        logit_difference=float(np.abs(reference - logits).max()),
        probability_difference=float(distance.max()),
        batch_effect=batch_effect,
        grid=_grid(loaded, manifest, bundle, texts),
        metric=_metric(loaded, judge, reference, logits),
        worst=WorstText(worst, texts[worst], float(distance[worst].max())),
        tolerance=_tolerance(manifest, max_drop),
    )


def _check_same_model(loaded: LoadedClassifier, manifest: Manifest, bundle: Path) -> None:
    if loaded.labels != manifest.labels or loaded.multi_label != manifest.multi_label:
        raise ExportError(
            f"{bundle} has other labels than its checkpoint, so it was made from another: export again"
        )
    if loaded.max_length != manifest.input.max_length:
        raise ExportError(
            f"{bundle} cuts texts at {manifest.input.max_length} tokens and its checkpoint at {loaded.max_length}: "
            "export again"
        )


def _batch_effect(loaded: LoadedClassifier, model: ft.TextClassifier, texts: Sequence[str]) -> float:
    """The largest difference of a probability between a text alone and the same in company."""
    alone = np.concatenate([model.logits([text]) for text in texts])
    return float(probability_distance(loaded, alone, model.logits(texts)).max())


def _grid(
    loaded: LoadedClassifier, manifest: Manifest, bundle: Path, texts: Sequence[str]
) -> tuple[ShapeDifference, ...]:
    session = GraphSession(bundle / MODEL_FILE)
    return tuple(
        ShapeDifference(probe.name, float(np.abs(session.run(probe.feeds) - probe.logits).max()))
        for probe in make_probes(loaded, texts, manifest.input.names)
    )


def _metric(
    loaded: LoadedClassifier, judge: Judge | None, reference: Logits, logits: Logits
) -> MetricPair | None:
    if judge is None:
        return None
    # Two answers that differ change an average by at most one part in n, and their signs are nearly random.
    differing = (applying_labels(loaded, reference) != applying_labels(loaded, logits)).any(axis=1).sum()
    allowance = math.sqrt(differing) / len(reference)
    return MetricPair(judge.metric, judge.score(reference), judge.score(logits), allowance)


def _tolerance(manifest: Manifest, max_drop: float | None) -> Tolerance:
    tolerance = TOLERANCES[manifest.precision.name]
    return tolerance if tolerance.drop is None or max_drop is None else replace(tolerance, drop=max_drop)
