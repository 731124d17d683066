"""Time every candidate that was proved, in alternating rounds on the validation texts, as `ftool bench` does."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ftool.bench.measure import BenchSettings, settings_for
from ftool.bench.run import Placement, bench, bundle_engine
from ftool.bench.worker import Text
from ftool.data.dataset import fingerprint
from ftool.errors import BenchError
from ftool.ladder.candidates import SPLIT, Source
from ftool.ladder.memo import remembered
from ftool.ladder.rungs import Rung
from ftool.machine import describe_machine
from ftool.tasks.base import Task
from ftool_runtime.bundle.manifest import Manifest

log = logging.getLogger(__name__)

_TEXTS = 100  # most texts in a round
_TOGETHER = 256  # most texts in one call


def ladder_settings(row: Task) -> BenchSettings:
    """Return the settings of `ftool bench` for the task, with fewer texts, because many engines take turns."""
    usual = settings_for(row)
    return replace(
        usual,
        texts_per_round=min(usual.texts_per_round, _TEXTS),
        throughput_texts=min(usual.throughput_texts, _TOGETHER),
        cold_starts=1,
    )


def time_rungs(
    folder: Path, rungs: Sequence[Rung], source: Source, base: str | None, settings: BenchSettings
) -> dict[str, Any]:
    """Time the bundles of `rungs` in one alternating run, or return the timings of an earlier call for the same ones.

    Args:
        folder: the work folder, which keeps the timings.
        rungs: the candidates; those without a bundle are not timed.
        source: the trained model, whose examples are the texts to time.
        base: the name of the rung that the others are compared with; None for no comparison.
        settings: how often and on how many texts.

    Returns:
        The report of `ftool bench` as plain JSON, with each candidate as an engine of its name. `ratios` has, for each
        candidate, how many times faster and smaller it is than `base`.

    Raises BenchError if a bundle can't be timed.
    """
    proved = {rung.name: rung.bundle for rung in rungs if rung.bundle is not None}
    if not proved:
        return {"engines": {}, "ratios": {}, "machine": describe_machine()}
    row, first = source.recipe.row, next(iter(proved.values()))
    texts: list[Text] = [*row.timed(source.fitted, first)]
    if not texts:
        raise BenchError(f"the {SPLIT} split has no texts to time candidates on; name one precision")
    placement = Placement(device=source.device)
    key = {
        "candidates": {name: _contents(bundle) for name, bundle in proved.items()},
        "base": base,
        "settings": asdict(settings),
        "placement": asdict(placement),
        "texts": fingerprint(source.fitted.examples),
        "machine": describe_machine(),
    }

    def make() -> Mapping[str, Any]:
        engines = [
            replace(bundle_engine(bundle, placement), name=name, title=name, task=row.name)
            for name, bundle in proved.items()
        ]
        log.info("timing %d candidates in %d alternating rounds", len(engines), settings.rounds)
        report = bench(engines, texts, settings, task=row.name, split=SPLIT)
        ratios = {} if base is None else {name: replace(report, subject=name).ratio(base) for name in proved}
        return {**report.to_json(), "ratios": ratios, "subject": base}

    return remembered(folder / "timings.json", key, make)


def _contents(bundle: Path) -> dict[str, str]:
    return {name: record.sha256 for name, record in Manifest.read(bundle).files.items()}
