"""Judge an ONNX file that another tool exported from a checkpoint, and time it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download

from ftool.bench.measure import settings_for
from ftool.bench.report import BenchReport
from ftool.bench.run import Placement, bench, bundle_engine, torch_engine
from ftool.export import load_any, load_on_split
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.tasks.base import Task
from ftool_export.foreign.graph_check import GraphReport, check_graph
from ftool_export.temporary import temporary_folder
from ftool_export.tolerances import MAX_DROP


@dataclass(frozen=True, kw_only=True)
class CheckSettings:
    """What an ONNX file is judged on.

    Attributes:
        split: the split of the recipe's data.
        recipe: the recipe of a model folder, whose data is split as in its training; None for a checkpoint.
        data: where other labelled examples are, all of which are used; None for those of the recipe, or for ftool's own
            texts.
        facts: facts about the checkpoint that its files may lack, as for `ftool.export.export_any`.
        max_drop: the largest allowed loss of the main metric.
        against: bundles to time the file beside; None times nothing.
        threads: the threads of each engine; None for all physical cores.
    """

    split: str = "test"
    recipe: Recipe | None = None
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
    loaded, examples = _load(checkpoint, row, settings)
    with temporary_folder() as folder:
        place = folder / file.stem
        place.mkdir()
        report = check_graph(file, loaded, examples, place, max_drop=settings.max_drop)
        if settings.against is None or report.found is None:
            return report, None
        timed = _timed(file, place, checkpoint, row, settings, examples.inputs)
        return report, timed.to_json()  # which reads the sizes of files in the folder


def _load(checkpoint: str, row: Task, settings: CheckSettings) -> tuple[Any, Any]:
    """Load the checkpoint, and the examples to compare it on."""
    recipe = settings.recipe
    if recipe is None or settings.data is not None:
        return load_any(checkpoint, row, settings.data, settings.split, settings.facts or {})
    loaded, fitted = load_on_split(checkpoint, recipe, settings.split, facts=settings.facts)
    return loaded, row.examples(loaded, fitted, recipe)


def _timed(
    file: Path, place: Path, checkpoint: str, row: Task, settings: CheckSettings, inputs: Sequence[Any]
) -> BenchReport:
    """Time the graph as the runtime runs it, beside torch and other bundles."""
    placement = Placement(threads=settings.threads)
    engines = [replace(bundle_engine(place, placement), name=file.name)]
    run = Path(checkpoint) if Path(checkpoint).is_dir() else Path(snapshot_download(checkpoint))
    engines.append(torch_engine(run, placement, row.name))
    for other in settings.against or ():
        engines.append(bundle_engine(other, placement, [engine.name for engine in engines]))
    return bench(engines, inputs, settings_for(row), task=row.name, split=settings.split)
