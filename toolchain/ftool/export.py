"""Export a model folder's run/ or any other checkpoint to a bundle, and compare bundles with their checkpoints."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ftool.data.dataset import Split
from ftool.data.load import split_for_model
from ftool.errors import RecipeError
from ftool.evaluation.open_model import open_run
from ftool.evaluation.records import model_hash
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.recipe import Recipe
from ftool.recipe.sections import AUTO, ExportRecipe, is_default
from ftool.tasks.base import Task
from ftool.tasks.registry import find_task, tasks_taking
from ftool.workspace import ModelFolder, write_json
from ftool_export.foreign.fp32_graph import foreign_source
from ftool_export.parity import parity
from ftool_export.passes import PassSettings
from ftool_export.pipeline import export
from ftool_export.precision_plans import precision_plan
from ftool_export.report import ExportReport, ParityReport
from ftool_export.settings import ExportSettings
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.errors import InputError


def export_folder(folder: Path, recipe: Recipe) -> ExportReport:
    """Export a model folder's run/ to its bundle/, and compare the two on the recipe's validation split.

    Raises FtoolError if there is no run/, the data can't be read, or the export fails; an existing bundle is then kept.
    """
    model = ModelFolder(folder)
    settings = export_settings(recipe.export, model.bundle, folder.resolve().name)
    loaded = recipe.row.load(model.require_run())
    replay = _replay(recipe, loaded, None) if settings.teachable else None
    return export(settings, loaded, examples_for(recipe, loaded, "validation"), replay=replay)


def export_any(
    checkpoint: str,
    bundle: Path,
    row: Task,
    wanted: ExportRecipe,
    data: DataSettings | None = None,
    *,
    name: str | None = None,
    base: str | None = None,
    facts: Mapping[str, Any] | None = None,
    graph: Path | None = None,
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
        facts: facts about the checkpoint that its files may lack, by the names in `Task.facts`, such as "pairs".
        graph: an ONNX file that another tool exported from the checkpoint, whose graph the bundle is made of; None to
            capture the checkpoint.

    Raises:
        FtoolError: the checkpoint or the data can't be read, a fact is not one of the task's, or the export fails; an
            existing bundle is then kept. It also fails if the precision needs data to measure activations, and there
            is none.
    """
    usual = row.default_precision(wanted.layout)
    precision = usual if is_default(wanted.precision) else wanted.precision
    settings = export_settings(replace(wanted, precision=precision), bundle, name)
    loaded, examples = load_any(checkpoint, row, data, "validation", facts or {})
    if data is None and precision_plan(precision, settings.device, loaded.family).calibrate:
        raise InputError(
            f"{precision} measures activations on your texts, and would cut off those that ftool's own do not reach: "
            "name data with --data, or use --precision int8-rows"
        )
    replay = None
    if settings.teachable:
        if data is None:
            raise InputError(
                "--teachable keeps features of training texts: name the training data with --data"
            )
        replay = _replay(Recipe(task=row.name, data=data), loaded, data)
    captured = None if graph is None else foreign_source(graph, loaded, examples.inputs, settings.passes)
    return export(settings, named_base(loaded, base), examples, captured=captured, replay=replay)


def export_settings(wanted: ExportRecipe, bundle: Path, name: str | None) -> ExportSettings:
    """Return the settings of one export that writes `bundle`.

    Raises RecipeError if the precision is "auto", which only `ftool.ladder` exports.
    """
    if wanted.precision == AUTO:
        raise RecipeError('export.precision = "auto" is for `ftool export`; name one precision here')
    return ExportSettings(
        bundle=bundle,
        name=name,
        precision=wanted.precision,
        max_drop=wanted.max_drop,
        allow_drift=wanted.allow_drift,
        device=wanted.device,
        layout=wanted.layout,
        teachable=wanted.teachable,
        golden=wanted.golden,
        passes=PassSettings(embedding_bits=wanted.embedding_bits),
    )


def named_base(loaded: Any, base: str | None) -> Any:
    """Return a checkpoint whose base has the name `base`, unless that is None, or run/ has recorded its base."""
    return loaded if base is None or loaded.training_sha256 else replace(loaded, base=base)


def check_parity(
    folder: Path, recipe: Recipe, *, split: str = "test", data: DataSettings | None = None
) -> ParityReport:
    """Compare a model folder's bundle/ with its run/ on a split of `data`, or of the recipe's data if `data` is None.

    If `ftool export --precision auto` has chosen a smaller model that it made, the bundle is compared with that. The
    report is written to reports/parity.json.

    Raises:
        FtoolError: run/ or bundle/ is missing, the data can't be read, or run/ and bundle/ are different models.
    """
    model = ModelFolder(folder)
    bundle, run = model.require_bundle(), model.require_origin()
    loaded = recipe.row.load(run)
    examples = examples_for(recipe, loaded, split, data)
    report = parity(loaded, bundle, examples)
    write_json(model.reports / "parity.json", {**report.to_json(), "of": model_hash(model, "bundle")})
    return report


def check_parity_of_bundle(
    bundle: Path,
    checkpoint: str,
    *,
    split: str = "test",
    data: DataSettings | None = None,
    facts: Mapping[str, Any] | None = None,
    graph: Path | None = None,
) -> ParityReport:
    """Compare a bundle with the Hugging Face checkpoint that it was exported from.

    Args:
        bundle: the folder of the bundle.
        checkpoint: a folder or hub id.
        split: the split of `data` to compare them on.
        data: where the labelled examples are; None to compare them on ftool's own texts.
        facts: what the export was told about the checkpoint, as for `export_any`.
        graph: the ONNX file that the bundle was made of, as for `export_any`.

    Raises:
        FtoolError: bundle, checkpoint or data can't be read, a fact is not one of the task's, or bundle and checkpoint
            are different models.
    """
    row = find_task(Manifest.read(bundle).task)
    loaded, examples = load_any(checkpoint, row, data, split, facts or {})
    return parity(loaded, bundle, examples, graph=graph)


def load_any(
    checkpoint: str, row: Task, data: DataSettings | None, split: str, facts: Mapping[str, Any]
) -> tuple[Any, Any]:
    """Load a checkpoint and the examples to compare it on: a split of `data`, or ftool's own texts if that is None.

    `facts` are as for `export_any`. Raises FtoolError if the checkpoint or the data can't be read.
    """
    if data is None:
        loaded = load_checkpoint(checkpoint, row, facts)
        return loaded, row.samples(loaded)
    recipe = Recipe(task=row.name, data=data)
    loaded, fitted = load_on_split(checkpoint, recipe, split, data, facts)
    return loaded, row.examples(loaded, fitted, recipe)


def load_checkpoint(checkpoint: str | Path, row: Task, facts: Mapping[str, Any]) -> Any:
    """Load a checkpoint. Raises CheckpointError, and InputError if the task takes no fact of one of these names."""
    for fact in sorted(facts.keys() - row.facts):
        named = ", ".join(tasks_taking(fact)) or "no task"
        raise InputError(f"--{fact.replace('_', '-')} is for {named}; leave it out for {row.name}")
    return row.load(checkpoint, **facts)


def load_on_split(
    checkpoint: str | Path,
    recipe: Recipe,
    split: str,
    data: DataSettings | None = None,
    facts: Mapping[str, Any] | None = None,
) -> tuple[Any, Any]:
    """Load a checkpoint, and a split of `data` (of the recipe's data if that is None) in the form that it reads.

    What the checkpoint does not say about its inputs is taken from the split.

    Raises FtoolError if the checkpoint or the data can't be read, or a fact is not one of the task's.
    """
    loaded = load_checkpoint(checkpoint, recipe.row, facts or {})
    examples = _read_split(recipe, loaded, split, data)
    loaded = recipe.row.decide(loaded, examples)
    return loaded, _fitted(recipe, loaded, examples, split)


def examples_for(recipe: Recipe, loaded: Any, split: str, data: DataSettings | None = None) -> Any:
    """Return a split as the `Examples` on which `ftool_export` compares models.

    The split is one of `data`, or of the recipe's data if `data` is None.

    Raises DataError if the data can't be read, or contains a label that the model does not know.
    """
    fitted = _fitted(recipe, loaded, _read_split(recipe, loaded, split, data), split)
    return recipe.row.examples(loaded, fitted, recipe)


def _replay(recipe: Recipe, loaded: Any, data: DataSettings | None) -> Any:
    """Return the training texts whose features a bundle that can be taught keeps."""
    if recipe.row.replay is None:
        raise InputError(f"--teachable is for classifiers, not for {recipe.row.name}")
    return recipe.row.replay(loaded, _read_split(recipe, loaded, "train", data))


def _read_split(recipe: Recipe, loaded: Any, name: str, data: DataSettings | None) -> Split[Any]:
    known = open_run(loaded, recipe.row.answering(loaded)).known
    return split_for_model(recipe.row.reader, recipe.data, data, name, known)


def _fitted(recipe: Recipe, loaded: Any, split: Split[Any], name: str) -> Any:
    row = recipe.row
    fitted, _ = row.fit(open_run(loaded, row.answering(loaded)), split, name, recipe)
    return fitted
