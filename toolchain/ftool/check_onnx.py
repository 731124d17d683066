"""Judge an ONNX file that another tool exported from a checkpoint, and time it."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ftool.bench.measure import settings_for
from ftool.bench.report import BenchReport
from ftool.bench.run import Placement, bench, bundle_engine, torch_engine
from ftool.data.load import load_dataset
from ftool.export import load_any
from ftool.recipe.data_settings import DataSettings
from ftool.tasks.base import Task
from ftool_export.foreign.graph_check import GraphReport, check_graph
from ftool_export.tolerances import MAX_DROP


@dataclass(frozen=True, kw_only=True)
class CheckSettings:
    """What an ONNX file is judged on.

    Attributes:
        split: the split of the data.
        data: where the labelled examples are; None for ftool's own texts.
        facts: facts about the checkpoint that its files may lack, as for `ftool.export.export_any`.
        max_drop: the largest allowed loss of the main metric.
        against: bundles to time the file beside; None times nothing.
        threads: the threads of each engine; None for all physical cores.
    """

    split: str = "test"
    data: DataSettings | None = None
    facts: Mapping[str, Any] | None = None
    max_drop: float = MAX_DROP
    against: Sequence[Path] | None = None
    threads: int | None = None


def check_onnx(
    file: Path, checkpoint: str, row: Task, settings: CheckSettings
) -> tuple[GraphReport, dict[str, Any] | None]:
    """Judge an ONNX file by the answers that the runtime gives with it, and time it if `settings` ask for that.

    Returns the report on the file, and that of the benchmark as JSON values; None if nothing was timed.

    Args:
        file: the ONNX file.
        checkpoint: the folder or hub id that it was exported from.
        row: the entry of the checkpoint's task in the task table.
        settings: what it is judged on.

    Raises:
        FtoolError: file, checkpoint or data can't be read, the checkpoint is a generator, or an engine fails.
    """
    loaded, examples = load_any(checkpoint, row, settings.data, settings.split, settings.facts or {})
    with tempfile.TemporaryDirectory(prefix="ftool-", ignore_cleanup_errors=True) as folder:
        place = Path(folder) / file.stem
        place.mkdir()
        report = check_graph(file, loaded, examples, place, max_drop=settings.max_drop)
        if settings.against is None or report.found is None:
            return report, None
        timed = _timed(file, place, checkpoint, row, settings, examples.inputs)
        return report, timed.to_json()  # which reads the sizes of files in the folder


def _timed(
    file: Path, place: Path, checkpoint: str, row: Task, settings: CheckSettings, inputs: Sequence[Any]
) -> BenchReport:
    """Time the graph as the runtime runs it, beside torch and other bundles."""
    placement = Placement(threads=settings.threads)
    engines = [replace(bundle_engine(place, placement), name=file.name)]
    if Path(checkpoint).is_dir():
        engines.append(torch_engine(Path(checkpoint), placement, row.name))
    for other in settings.against or ():
        engines.append(bundle_engine(other, placement, [engine.name for engine in engines]))
    texts: Sequence[Any] = inputs
    if settings.data is not None:
        data = load_dataset(row.reader, settings.data, quiet=True)
        texts = [*row.timed(data.split(settings.split), place)]
    return bench(engines, texts, settings_for(row), task=row.name, split=settings.split)
