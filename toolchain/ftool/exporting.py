"""From a model folder's run/ to its bundle/, and whether the two are the same model."""

from pathlib import Path

from ftool.judging import data_judge, recipe_judge
from ftool.model_folder import ModelFolder
from ftool.recipe import DataSettings, ExportRecipe, Recipe
from ftool_export.classifier import load_classifier
from ftool_export.export_checkpoint import export_checkpoint
from ftool_export.parity import parity
from ftool_export.parity_report import ParityReport
from ftool_export.report import ExportReport
from ftool_export.settings import ExportSettings


def export_folder(folder: Path, recipe: Recipe) -> ExportReport:
    """Export a model folder's run/ to its bundle/, judged on the recipe's validation split.

    Raises:
        FtoolError: there is no run/, the data can't be read, or the export failed; a bundle that is there stays.
    """
    model = ModelFolder(folder)
    settings = ExportSettings(
        checkpoint=str(model.require_run()),
        bundle=model.bundle,
        name=folder.resolve().name,
        task=recipe.task,
        precision=recipe.export.precision_for(recipe.task),
        max_drop=recipe.export.max_drop,
        device=recipe.export.device,
    )
    loaded = load_classifier(settings.checkpoint)
    return export_checkpoint(settings, loaded=loaded, judge=recipe_judge(recipe, loaded, "validation"))


def export_any(settings: ExportSettings, data: DataSettings | None) -> ExportReport:
    """Export any Hugging Face checkpoint; its accuracy is judged where there is data.

    Raises:
        FtoolError: the checkpoint or the data can't be read, or the export failed; a bundle that is there stays.
    """
    loaded = load_classifier(settings.checkpoint)
    judge = data_judge(data, loaded, "validation") if data else None
    return export_checkpoint(settings, loaded=loaded, judge=judge)


def check_parity(
    folder: Path, recipe: Recipe, *, split: str = "test", data: DataSettings | None = None
) -> ParityReport:
    """Compare a model folder's bundle/ with its run/ on a split of the recipe's data, or of other data.

    The loss of the metric is held against the precision's own tolerance; against the recipe's where that was changed.

    Raises:
        FtoolError: run/ or bundle/ is missing, the data can't be read, or the two are not the same model.
    """
    model = ModelFolder(folder)
    bundle, loaded = model.require_bundle(), load_classifier(model.require_run())
    judge = data_judge(data, loaded, split) if data else recipe_judge(recipe, loaded, split)
    changed = recipe.export.max_drop != ExportRecipe().max_drop
    max_drop = recipe.export.max_drop if changed else None
    return parity(loaded, bundle, judge.texts, judge=judge, max_drop=max_drop)
