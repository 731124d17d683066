"""Build a candidate, have the gate prove it, and measure how much accuracy it loses, or take up what was finished."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from ftool.data.dataset import fingerprint
from ftool.errors import DataError
from ftool.evaluation.confidence_intervals import (
    ConfidenceSettings,
    Estimate,
    estimates,
    paired_difference,
)
from ftool.evaluation.evaluate import measure_split, opened_bundle
from ftool.evaluation.open_model import open_run
from ftool.evaluation.statistics import Statistics
from ftool.export import export_settings
from ftool.ladder.candidates import SPLIT, Source
from ftool.ladder.memo import remembered
from ftool.recipe.sections import ExportRecipe
from ftool_export.bundle.writer import package_versions
from ftool_export.errors import ExportError
from ftool_export.pipeline import export
from ftool_export.report import ExportReport
from ftool_export.settings import ExportSettings
from ftool_runtime import __version__
from ftool_runtime.bundle.integrity import check_hashes
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.errors import BundleError

log = logging.getLogger(__name__)

_FORMAT = 2  # of the files in the work folder; raised when what they mean changes


def interval_settings(wanted: ExportRecipe) -> ConfidenceSettings:
    """Return the settings of a two-sided interval, each of whose ends holds with the confidence of `wanted`."""
    return ConfidenceSettings(level=2 * wanted.confidence - 1)


@dataclass(frozen=True)
class Reference:
    """The trained model in torch, which every candidate is compared with."""

    source: Source
    wanted: ExportRecipe

    @property
    def metric(self) -> str:
        """The name of the main metric."""
        return str(self.source.examples.metric)

    @cached_property
    def statistics(self) -> Statistics:
        """Per-example statistics of torch's answers to the validation examples."""
        log.info("the trained model answers %d %s examples in torch", len(self.source.fitted), SPLIT)
        source = self.source
        model = open_run(source.loaded, source.recipe.row.answering(source.loaded))
        return self.statistics_of(model, source)

    @cached_property
    def key(self) -> dict[str, Any]:
        """Everything that a measurement against this reference depends on, as plain JSON."""
        return {
            "format": _FORMAT,
            "reference": self.source.sha256,
            "examples": fingerprint(self.source.fitted.examples),
            "metric": self.metric,
            "confidence": self.wanted.confidence,
            "ftool": __version__,
            "versions": package_versions(),
        }

    def statistics_of(self, model: Any, source: Source) -> Statistics:
        """Return statistics of an open model's answers to the examples of `source`, with the main metric."""
        evaluation = measure_split(
            source.recipe.row, model, source.fitted, SPLIT, source.recipe, source.numbers
        )
        found = evaluation.statistics_with(self.metric)
        if found is None:
            raise DataError(
                f"the {SPLIT} split can't be scored by {self.metric} example by example, so no candidate can be "
                "judged; name one precision"
            )
        return found

    def score(self, statistics: Statistics) -> Estimate:
        """Return the main metric with its interval."""
        return estimates(statistics, np.arange(len(statistics)), interval_settings(self.wanted))[self.metric]

    def drop(self, statistics: Statistics) -> Estimate:
        """Return the main metric of torch minus that of other answers to the same examples, with its interval.

        Raises DataError if the answers are to other examples.
        """
        if len(statistics) != len(self.statistics):
            raise DataError(
                f"the candidate reads {len(statistics)} of the {SPLIT} examples and the trained model "
                f"{len(self.statistics)}, so the two can't be compared; leave the candidate out"
            )
        return paired_difference(self.statistics, statistics, self.metric, interval_settings(self.wanted))


@dataclass(frozen=True, kw_only=True)
class Rung:
    """A candidate that was built and judged.

    Attributes:
        name: the candidate's name.
        source: the name of its checkpoint, empty for the trained model itself.
        precision: the precision's name.
        bundle: the folder of its bundle; None if the export or its gate refused it.
        report: the export's report as plain JSON; None if the export failed.
        refusal: why there is no bundle; None if there is one.
        score: the main metric of its answers to the validation examples; None without a bundle.
        drop: torch's metric minus this one, with its interval; None without a bundle.
        embedding_bits: the bits of a number in quantised embedding tables.
        saved_by_4_bits: how many bytes smaller the bundle gets if these have 4 bits; 0 without a bundle, if they have 4
            bits already, or if they can't.
    """

    name: str
    source: str
    precision: str
    bundle: Path | None
    report: Mapping[str, Any] | None
    refusal: str | None = None
    score: Estimate | None = None
    drop: Estimate | None = None
    embedding_bits: int = 8
    saved_by_4_bits: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the rung as plain JSON, without the path of its bundle."""
        return {
            "name": self.name,
            "source": self.source,
            "precision": self.precision,
            "embedding_bits": self.embedding_bits,
            "saved_by_4_bits": self.saved_by_4_bits,
            "refusal": self.refusal,
            "score": None if self.score is None else self.score.to_json(),
            "drop": None if self.drop is None else self.drop.to_json(),
            "report": self.report,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any], bundle: Path) -> Self:
        """Return the rung that `to_json` wrote; `bundle` is the folder of its bundle, if it has one."""
        score, drop = (stored_estimate(values[name]) for name in ("score", "drop"))
        return cls(
            name=values["name"],
            source=values["source"],
            precision=values["precision"],
            embedding_bits=values["embedding_bits"],
            saved_by_4_bits=values["saved_by_4_bits"],
            bundle=bundle if values["refusal"] is None else None,
            report=values["report"],
            refusal=values["refusal"],
            score=score,
            drop=drop,
        )


def stored_estimate(values: Mapping[str, Any] | None) -> Estimate | None:
    """Return the estimate that `Estimate.to_json` wrote; None for None."""
    if values is None:
        return None
    return Estimate(*(np.nan if values[end] is None else values[end] for end in ("value", "low", "high")))


def build_rung(
    folder: Path,
    source: Source,
    precision: str,
    reference: Reference,
    *,
    name: str | None,
    embedding_bits: int = 8,
) -> Rung:
    """Export one candidate, judge it and measure its drop; or return what an earlier call has finished.

    Args:
        folder: the candidate's own work folder, which gets the bundle and the measurements.
        source: the candidate's checkpoint.
        precision: the candidate's precision.
        reference: the trained model.
        name: the model's name in the manifest; None for the bundle's folder.
        embedding_bits: the bits of a number in quantised embedding tables.

    A candidate that can't be exported, or that the gate refuses, is a rung without a bundle.
    """
    bundle = folder / "bundle"
    key = {
        **reference.key,
        "checkpoint": source.sha256,
        "precision": precision,
        "embedding_bits": embedding_bits,
        "name": name,
        "settings": {
            field: value
            for field, value in asdict(reference.wanted).items()
            if field in ("max_drop", "allow_drift", "device", "layout", "golden")
        },
    }

    changed: dict[str, Any] = {"precision": precision, "embedding_bits": embedding_bits}
    settings = export_settings(replace(reference.wanted, **changed), bundle, name)

    def make() -> dict[str, Any]:
        return _built(settings, source, reference).to_json()

    def intact(stored: Mapping[str, Any]) -> bool:
        return stored["refusal"] is not None or _is_intact(bundle)

    return Rung.from_json(remembered(folder / "rung.json", key, make, intact), bundle)


def try_4_bits(rung: Rung, wanted: ExportRecipe) -> bool:
    """Return whether to build a proved candidate with embeddings in 4 bits too.

    It is built if the smallest candidate is preferred, if `export.embedding_bits` is 4, or if the candidate exceeds
    `export.max_size` and would not with 4 bits.
    """
    if rung.report is None or not rung.saved_by_4_bits:
        return False
    if wanted.prefer == "size" or wanted.embedding_bits == 4:
        return True
    size, limit = rung.report["bytes"] / 1e6, wanted.max_size
    return limit is not None and size > limit >= size - rung.saved_by_4_bits / 1e6


def _built(settings: ExportSettings, source: Source, reference: Reference) -> Rung:
    precision, bits = settings.precision, settings.passes.embedding_bits
    identity: dict[str, Any] = {
        "name": source.candidate(precision, bits),
        "source": source.name,
        "precision": precision,
        "embedding_bits": bits,
    }
    log.info("%s: building and proving the bundle", identity["name"])
    try:
        report = export(settings, source.loaded, source.examples, captured=source.graphs)
    except ExportError as error:
        return Rung(**identity, bundle=None, report=None, refusal=str(error))
    if report.bundle is None:
        return Rung(**identity, bundle=None, report=report.to_json(), refusal=_refusal(report))
    with opened_bundle(report.bundle, lambda: source.loaded, device=source.device) as model:
        statistics = reference.statistics_of(model, source)
    return Rung(
        **identity,
        bundle=report.bundle,
        report=report.to_json(),
        saved_by_4_bits=source.saved_by_4_bits(precision) if bits == 8 else 0,
        score=reference.score(statistics),
        drop=reference.drop(statistics),
    )


def _refusal(report: ExportReport) -> str:
    """Return why the gate refused a bundle, in a few words."""
    verdict = report.verdict
    checks = [f"{check.name} {check.value:.4g}, allowed {check.limit:.4g}" for check in verdict.drift]
    if verdict.drop is not None and verdict.drop > verdict.max_drop + verdict.allowance:
        allowed = verdict.max_drop + verdict.allowance
        checks.insert(0, f"{verdict.metric} falls by {verdict.drop:.4f}, allowed {allowed:.4f}")
    return "refused by the gate: " + "; ".join(checks)


def _is_intact(bundle: Path) -> bool:
    try:
        check_hashes(bundle, Manifest.read(bundle))
    except BundleError:
        return False
    return True
