"""Time a bundle beside torch or other bundles, and write the reports: what `ftool bench` and `Bundle.bench` call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

from ftool.bench.html_report import write_html
from ftool.bench.measure import BenchSettings, settings_for
from ftool.bench.report import BenchReport
from ftool.bench.run import TORCH, Placement, bench, engines_of, golden_texts, texts_to_time
from ftool.bench.slowdown import slowdowns
from ftool.errors import BenchError
from ftool.evaluation.records import model_hash
from ftool.recipe.recipe import Recipe
from ftool.tasks.registry import find_task
from ftool.workspace import ModelFolder, write_json
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.errors import InputError, nearest

SLOWER: Final = 0.1  # how much slower than the earlier report a bundle may be, as a share
NONE: Final = "none"  # in place of an engine to compare with


@dataclass(frozen=True, kw_only=True)
class BenchRequest:
    """What to time.

    Attributes:
        bundle: the bundle's folder.
        model: the model folder that the bundle is in; None for a bundle on its own.
        recipe: the recipe whose data has the texts; None to time the inputs of the bundle's golden answers.
        split: the split of the data.
        against: "torch" and the folders of other bundles; empty for torch if there is a run/ or `checkpoint`, and
            ("none",) to compare with nothing.
        checkpoint: what torch runs; None for the model folder's run/.
        placement: threads, device and profile.
        settings: the fields of `BenchSettings` that differ from the task's defaults.
        earlier: an earlier report, as `read_report` returns it; None to compare with none.
        max_slowdown: how much slower than `earlier` the bundle may be, as a share.
        min_speedup: how many times faster than the others the bundle must be, which the caller checks; None for no such
            limit.
        page: the HTML report to write; None for reports/bench.html in the model folder.
    """

    bundle: Path
    model: ModelFolder | None = None
    recipe: Recipe | None = None
    split: str = "test"
    against: Sequence[str] = ()
    checkpoint: Path | None = None
    placement: Placement = field(default_factory=Placement)
    settings: Mapping[str, Any] = field(default_factory=dict)
    earlier: Mapping[str, Any] | None = None
    min_speedup: float | None = None
    max_slowdown: float = SLOWER
    page: Path | None = None

    def __post_init__(self) -> None:
        known = [one.name for one in fields(BenchSettings)]
        for name in self.settings:
            if name not in known:
                near = nearest(name, known)
                remedy = f"did you mean {near}?" if near else f"known are {', '.join(known)}"
                raise InputError(f"{name} is not a setting of a benchmark; {remedy}")

    @property
    def written_page(self) -> Path | None:
        """The path of the HTML report; None if none is written."""
        return self.page or (self.model.reports / "bench.html" if self.model is not None else None)


def bench_bundle(asked: BenchRequest) -> BenchReport:
    """Time a bundle, and write reports/bench.json and the HTML report if the bundle is in a model folder.

    Raises FtoolError if a model or the data can't be read, the earlier report is of other engines, or an engine can't
    be timed.
    """
    compared = asked.against or ((TORCH,) if asked.model or asked.checkpoint else ())
    checkpoint = asked.checkpoint
    if TORCH in compared and asked.model is not None:
        checkpoint = checkpoint or asked.model.require_origin()
    others = [other for other in compared if other != NONE]
    if asked.min_speedup is not None and not others:
        raise BenchError("--min-speedup needs an engine to compare the bundle with; name one with --against")
    engines = engines_of(asked.bundle, checkpoint, others, asked.placement)
    if asked.recipe is None:
        row, source = find_task(Manifest.read(asked.bundle).task), "golden"
        texts = golden_texts(asked.bundle)
    else:
        row, source = asked.recipe.row, asked.split
        texts = texts_to_time(asked.recipe, source, asked.bundle)
    settings = replace(settings_for(row), **asked.settings)
    report = bench(engines, texts, settings, task=row.name, split=source)
    try:
        if asked.earlier is not None:
            changes = [one.to_json(asked.max_slowdown) for one in slowdowns(asked.earlier, report.to_json())]
            report = replace(report, compared=changes)
    finally:  # what was timed is kept even if it can't be compared
        if asked.model is not None:
            found = {**report.to_json(), "of": model_hash(asked.model, "bundle")}
            write_json(asked.model.reports / "bench.json", found)
        if asked.written_page is not None:
            write_html(report, asked.written_page)
    return report
