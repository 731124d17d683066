"""Export one precision, or choose among all of them: what `ftool export` and `Run.export` call."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from ftool.bases import BASES, resolve_base
from ftool.export import export_any, export_folder
from ftool.ladder.climb import climb_checkpoint, climb_folder
from ftool.ladder.frontier import Frontier
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.override import apply_settings
from ftool.recipe.recipe import Recipe
from ftool.recipe.sections import AUTO, ExportRecipe
from ftool.tasks.registry import find_synonym
from ftool_export.checkpoints.pretrained import task_of
from ftool_export.report import ExportReport
from ftool_runtime.errors import InputError

_OF_AUTO: Final = {  # the flag of each setting that only precision "auto" reads
    "confidence": "--confidence",
    "max_latency": "--max-latency",
    "max_size": "--max-size",
    "prefer": "--prefer",
    "candidates": "--candidate",
    "shrink": "--shrink",
}


def export_run(folder: Path, recipe: Recipe, chosen: Mapping[str, Any]) -> ExportReport | Frontier:
    """Export a model folder's run/ to its bundle/.

    Args:
        folder: the model folder.
        recipe: the settings of the model.
        chosen: settings of [export] that replace the recipe's, by name, such as {"precision": "w8"}.

    Returns:
        The report; for the precision "auto" the frontier of all candidates. The `bundle` of both is None if nothing was
        written because the quality would have fallen too much; an existing bundle is then kept.

    Raises FtoolError for a wrong setting, if there is no run/, the data can't be read, or the export fails.
    """
    wanted = _wanted(recipe.export, chosen)
    recipe = replace(recipe, export=wanted)
    return climb_folder(folder, recipe) if wanted.precision == AUTO else export_folder(folder, recipe)


def export_checkpoint(
    checkpoint: str,
    bundle: Path,
    chosen: Mapping[str, Any],
    *,
    task: str | None = None,
    data: DataSettings | None = None,
    facts: Mapping[str, Any] | None = None,
    graph: Path | None = None,
) -> ExportReport | Frontier:
    """Export any Hugging Face checkpoint to the folder `bundle`.

    Args:
        checkpoint: a folder, a hub id, or the name of a base such as minilm.
        bundle: the folder to write.
        chosen: settings of [export], by name.
        task: the task's name or a synonym; None if the checkpoint names it.
        data: where labelled examples are; None if there are none, so that the loss of quality can't be measured.
        facts: facts about the checkpoint that its files may lack, by the names in `Task.facts`.
        graph: an ONNX file that another tool exported from the checkpoint, to make the bundle of; None to capture it.

    Returns and raises what `export_run` does.
    """
    base = BASES[checkpoint].hub_id if checkpoint in BASES else None
    checkpoint = resolve_base(checkpoint) if checkpoint in BASES else checkpoint
    task = task or task_of(checkpoint)
    if task is None:
        raise InputError(f"{checkpoint} does not name its task; give it with --task")
    wanted = _wanted(ExportRecipe(), chosen)
    row = find_synonym(task)
    if wanted.precision == AUTO:
        if graph is not None:
            raise InputError("--graph is for one precision, not for auto")
        return climb_checkpoint(checkpoint, bundle, row, wanted, data, base=base, facts=facts)
    return export_any(checkpoint, bundle, row, wanted, data, base=base, facts=facts, graph=graph)


def _wanted(settings: ExportRecipe, chosen: Mapping[str, Any]) -> ExportRecipe:
    """Return `settings` with those in `chosen`. Raises RecipeError for a wrong one, or one that would be ignored."""
    wanted = apply_settings(settings, chosen)
    ignored = [flag for name, flag in _OF_AUTO.items() if name in chosen]
    if wanted.precision != AUTO and ignored:
        raise InputError(f"{ignored[0]} is for --precision auto")
    return wanted
