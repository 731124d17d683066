"""Export a model folder's run/, or any checkpoint, to a bundle, and compare bundles with their checkpoints."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from ftool.data.load import split_for_model
from ftool.evaluation.opened import opened_run
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.tasks.registry import find_task
from ftool.workspace import ModelFolder
from ftool_export.parity import parity
from ftool_export.pipeline import export
from ftool_export.report import ExportReport, ParityReport
from ftool_export.settings import ExportSettings


def export_folder(folder: Path, recipe: Recipe) -> ExportReport:
    """Export a model folder's run/ to its bundle/, and compare the two on the recipe's validation split.

    Raises FtoolError if there is no run/, the data can't be read, or the export failed; an existing bundle is kept.
    """
    model = ModelFolder(folder)
    settings = ExportSettings(
        checkpoint=str(model.require_run()),
        bundle=model.bundle,
        name=folder.resolve().name,
        precision=recipe.export.precision,
        max_drop=recipe.export.max_drop,
        allow_drift=recipe.export.allow_drift,
        device=recipe.export.device,
        golden=recipe.export.golden,
    )
    loaded = recipe.row.load(settings.checkpoint)
    return export(settings, loaded, examples_for(recipe, loaded, "validation"))


def export_any(
    settings: ExportSettings,
    data: DataSettings | None,
    *,
    source_language: str | None = None,
    target_language: str | None = None,
    base: str | None = None,
) -> ExportReport:
    """Export any Hugging Face checkpoint. The loss of quality is measured if there is data.

    Args:
        settings: the checkpoint, the bundle's folder, and how to export.
        data: labelled examples, or None.
        source_language: a translator's source language, as its checkpoint spells it; None: the checkpoint's setting.
        target_language: a translator's target language, as its checkpoint spells it; None: the checkpoint's setting.
        base: the checkpoint's name in manifest and card; None: its hub id or its folder's name.

    Raises:
        FtoolError: the checkpoint or the data can't be read, or the export failed; an existing bundle is kept.
    """
    row = find_task(settings.task)
    loaded = row.in_languages(row.load(settings.checkpoint), source_language, target_language)
    if base is not None and not loaded.training_sha256:  # otherwise run/ records its base
        loaded = replace(loaded, base=base)
    if data is None:
        return export(settings, loaded, row.samples(loaded))
    recipe = Recipe(task=row.name, data=data)
    return export(settings, loaded, examples_for(recipe, loaded, "validation", data))


def check_parity(
    folder: Path, recipe: Recipe, *, split: str = "test", data: DataSettings | None = None
) -> ParityReport:
    """Compare a model folder's bundle/ with its run/ on a split of the recipe's data, or of other data.

    Raises:
        FtoolError: run/ or bundle/ is missing, the data can't be read, or the two are not the same model.
    """
    model = ModelFolder(folder)
    bundle, run = model.require_bundle(), model.require_run()
    loaded = recipe.row.load(run)
    examples = examples_for(recipe, loaded, split, data)
    return parity(loaded, bundle, examples)


def examples_for(recipe: Recipe, loaded: Any, split: str, data: DataSettings | None = None) -> Any:
    """Return a split of the recipe's data, or of `data`, as the `Examples` on which `ftool_export` compares models.

    Raises DataError if the data can't be read, or has a label that the model does not know.
    """
    row = recipe.row
    model = opened_run(loaded, row.answering(loaded))
    found = split_for_model(row.reader, recipe.data, data, split, model.known)
    fitted, _ = row.fit(model, found, split, recipe)
    return row.examples(loaded, fitted, recipe)
