"""Export a model folder's run/ or any other checkpoint to a bundle, and compare bundles with their checkpoints."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ftool.data.load import split_for_model
from ftool.evaluation.open_model import open_run
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.recipe.sections import ExportRecipe, is_default
from ftool.tasks.base import Task
from ftool.workspace import ModelFolder
from ftool_export.parity import parity
from ftool_export.pipeline import export
from ftool_export.report import ExportReport, ParityReport
from ftool_export.settings import ExportSettings


def export_folder(folder: Path, recipe: Recipe) -> ExportReport:
    """Export a model folder's run/ to its bundle/, and compare the two on the recipe's validation split.

    Raises FtoolError if there is no run/, the data can't be read, or the export fails; an existing bundle is then kept.
    """
    model = ModelFolder(folder)
    settings = ExportSettings(bundle=model.bundle, name=folder.resolve().name, **asdict(recipe.export))
    loaded = recipe.row.load(model.require_run())
    return export(settings, loaded, examples_for(recipe, loaded, "validation"))


def export_any(
    checkpoint: str,
    bundle: Path,
    row: Task,
    wanted: ExportRecipe,
    data: DataSettings | None = None,
    *,
    name: str | None = None,
    base: str | None = None,
    languages: tuple[str | None, str | None] = (None, None),
) -> ExportReport:
    """Export any Hugging Face checkpoint to a bundle. If `data` is given, the loss of quality is measured.

    Args:
        checkpoint: a folder or hub id.
        bundle: the folder to write.
        row: the entry of the checkpoint's task in the task table.
        wanted: how to export.
        data: where the labelled examples are; None if there are none.
        name: the model's name; None for the name of the bundle's folder.
        base: the checkpoint's name in the manifest and the model card; None for its hub id or its folder's name.
        languages: a translator's source and target language, spelled as in its checkpoint; None for the checkpoint's
            setting.

    Raises:
        FtoolError: the checkpoint or the data can't be read, or the export fails; an existing bundle is then kept.
    """
    precision = row.precision if is_default(wanted.precision) else wanted.precision
    settings = ExportSettings(bundle=bundle, name=name, **asdict(replace(wanted, precision=precision)))
    loaded = row.in_languages(row.load(checkpoint), *languages)
    if base is not None and not loaded.training_sha256:  # otherwise run/ records its base
        loaded = replace(loaded, base=base)
    if data is None:
        return export(settings, loaded, row.samples(loaded))
    recipe = Recipe(task=row.name, data=data)
    return export(settings, loaded, examples_for(recipe, loaded, "validation", data))


def check_parity(
    folder: Path, recipe: Recipe, *, split: str = "test", data: DataSettings | None = None
) -> ParityReport:
    """Compare a model folder's bundle/ with its run/ on a split of `data`, or of the recipe's data if `data` is None.

    Raises:
        FtoolError: run/ or bundle/ is missing, the data can't be read, or run/ and bundle/ are different models.
    """
    model = ModelFolder(folder)
    bundle, run = model.require_bundle(), model.require_run()
    loaded = recipe.row.load(run)
    examples = examples_for(recipe, loaded, split, data)
    return parity(loaded, bundle, examples)


def examples_for(recipe: Recipe, loaded: Any, split: str, data: DataSettings | None = None) -> Any:
    """Return a split as the `Examples` on which `ftool_export` compares models.

    The split is one of `data`, or of the recipe's data if `data` is None.

    Raises DataError if the data can't be read, or contains a label that the model does not know.
    """
    row = recipe.row
    model = open_run(loaded, row.answering(loaded))
    found = split_for_model(row.reader, recipe.data, data, split, model.known)
    fitted, _ = row.fit(model, found, split, recipe)
    return row.examples(loaded, fitted, recipe)
