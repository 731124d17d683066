"""From a model folder's run/ to its bundle/, and whether the two are the same model."""

from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.recipe.sections import ExportRecipe, TrainSettings
from ftool.tasks.table import find_task
from ftool.tasks.work import get_encoder_task
from ftool.workspace import ModelFolder
from ftool_export.checkpoints.base import LoadedModel
from ftool_export.checkpoints.generator import LoadedGenerator, load_generator
from ftool_export.checkpoints.languages import set_to_languages
from ftool_export.errors import CheckpointError
from ftool_export.examples.generation import sample_examples
from ftool_export.parity import parity
from ftool_export.pipeline import export
from ftool_export.report import ExportReport, ParityReport
from ftool_export.settings import ExportSettings
from ftool_runtime.bundle.manifest import Languages

M = TypeVar("M", bound=LoadedModel)


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
        precision=recipe.export.precision,
        max_drop=recipe.export.max_drop,
        allow_drift=recipe.export.allow_drift,
        device=recipe.export.device,
        golden=recipe.export.golden,
    )
    if recipe.row.writes:
        from ftool.tasks.generation_judging import recipe_examples

        generator = load_generator(settings.checkpoint, recipe.task)
        return export(settings, generator, recipe_examples(recipe, generator, "validation"))
    task = get_encoder_task(recipe.task)
    loaded = task.load(settings.checkpoint)
    return export(settings, loaded, task.recipe_examples(recipe, loaded, "validation"))


def export_any(
    settings: ExportSettings,
    data: DataSettings | None,
    *,
    source_language: str | None = None,
    target_language: str | None = None,
    base: str | None = None,
) -> ExportReport:
    """Export any Hugging Face checkpoint; its quality is judged if there is data.

    Args:
        settings: what to export, and where to.
        data: labelled examples, or None.
        source_language: what a translator reads, as its checkpoint writes it; None: what it is set to.
        target_language: what it writes, in the same form.
        base: the checkpoint's name in manifest and card; None: its hub id or its folder's name.

    Raises:
        FtoolError: the checkpoint or the data can't be read, or the export failed; a bundle that is there stays.
    """
    if find_task(settings.task).writes:
        from ftool.tasks.generation_judging import data_examples

        generator = load_generator(settings.checkpoint, settings.task)
        generator = _named(_told(generator, source_language, target_language), base)
        longest = TrainSettings().max_target_length
        if data is None:
            return export(settings, generator, sample_examples(generator))
        judged = data_examples(data, generator, "validation", max_target_length=longest)
        return export(settings, generator, judged)
    task = get_encoder_task(settings.task)
    loaded = _named(task.load(settings.checkpoint), base)
    examples = task.data_examples(data, loaded, "validation") if data else task.sample_examples(loaded)
    return export(settings, loaded, examples)


def _named(loaded: M, base: str | None) -> M:
    """Return `loaded` with its base called `base`, unless ftool trained it: then run/ records the base."""
    return loaded if base is None or loaded.training_sha256 else replace(loaded, base=base)


def _told(generator: LoadedGenerator, source: str | None, target: str | None) -> LoadedGenerator:
    """A hub checkpoint set to its languages; a run/ knows its own, and asking it for others is refused."""
    if generator.training_sha256 is None:
        return set_to_languages(generator, source, target)
    own = generator.languages or Languages()
    for option, asked, known in (("source", source, own.source), ("target", target, own.target)):
        if asked is not None and asked != known:
            raise CheckpointError(
                f"--{option}-language {asked}: this run was trained with {known or 'none'}; leave it out"
            )
    return generator


def check_parity(
    folder: Path, recipe: Recipe, *, split: str = "test", data: DataSettings | None = None
) -> ParityReport:
    """Compare a model folder's bundle/ with its run/ on a split of the recipe's data, or of other data.

    The loss of the metric is held against the precision's own tolerance; against the recipe's where that was changed.

    Raises:
        FtoolError: run/ or bundle/ is missing, the data can't be read, or the two are not the same model.
    """
    model = ModelFolder(folder)
    bundle, run = model.require_bundle(), model.require_run()
    changed = recipe.export.max_drop != ExportRecipe().max_drop
    max_drop = recipe.export.max_drop if changed else None
    if recipe.row.writes:
        return _check_text_parity(bundle, run, recipe, split, data, max_drop)
    task = get_encoder_task(recipe.task)
    loaded = task.load(run)
    examples = (
        task.data_examples(data, loaded, split) if data else task.recipe_examples(recipe, loaded, split)
    )
    return parity(loaded, bundle, examples, max_drop=max_drop)


def _check_text_parity(
    bundle: Path, run: Path, recipe: Recipe, split: str, data: DataSettings | None, max_drop: float | None
) -> ParityReport:
    from ftool.evaluation.metrics.generation import main_metric_of
    from ftool.tasks.generation_judging import data_examples, recipe_examples

    loaded = load_generator(run, recipe.task)
    if data is None:
        examples = recipe_examples(recipe, loaded, split)
    else:
        longest, metric = recipe.train.max_target_length, main_metric_of(recipe)
        examples = data_examples(data, loaded, split, metric=metric, max_target_length=longest)
    return parity(loaded, bundle, examples, max_drop=max_drop)
