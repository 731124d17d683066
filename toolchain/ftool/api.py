"""The toolchain in Python: `train` and `open` return a `Run`, whose `export` returns a `Bundle`.

The commands of `ftool` call the same functions, and print the same reports. Heavy modules such as torch are imported
when a function is called.
"""

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ftool.data.sources.memory import RowsInMemory
from ftool.errors import GateError, ModelFolderError
from ftool.recipe.data_settings import DataSettings
from ftool.recipe.flags import DataFlags, RecipeFlags, recipe_for
from ftool.recipe.override import apply_settings
from ftool.recipe.recipe import Recipe
from ftool.start_model import by_path, new_folder, start_model
from ftool.workspace import ModelFolder
from ftool_runtime.bundle.manifest import Manifest
from ftool_runtime.errors import InputError

if TYPE_CHECKING:
    from ftool.bench.report import BenchReport
    from ftool.evaluation.results import Evaluation, TrainReport
    from ftool.ladder.frontier import Frontier
    from ftool_export.report import ExportReport, ParityReport
    from ftool_runtime.bundle.verify import VerifyReport
    from ftool_runtime.models.base import Model
    from ftool_runtime.session.onnx_session import Device, Profile

# A path (a file, a folder, a hub id, builtin:NAME), or rows in memory: a pandas or polars DataFrame, a pyarrow.Table, a
# datasets.Dataset or DatasetDict, a list of dicts, or a dict from split names to these.
Data = Any


def train(
    data: Data = None,
    *,
    base: str | os.PathLike[str] | None = None,
    task: str | None = None,
    folder: str | os.PathLike[str] | None = None,
    resume: bool = False,
    replace: bool = False,
    **settings: Any,
) -> "Run":
    """Fine-tune a base model on labelled data, and measure the result on held-out data.

    Args:
        data: what `ftool train --data` takes, or rows in memory: a pandas or polars DataFrame, a `datasets.Dataset` or
            `DatasetDict`, a `pyarrow.Table`, a list of dicts, or a dict from split names to these. Rows in memory are
            saved as Parquet in the model folder, in data/, so that other processes can evaluate and export the model.
            Missing validation and test splits are cut off. None for the data that the folder's recipe names.
        base: the base model: a hub id, a checkpoint folder, or a name such as "minilm", the default.
        task: the task, as Hugging Face names it; "text-classification" by default.
        folder: the model folder, to which the recipe, run/ and bundle/ are written. None for a new folder in models/,
            named after the data; `Run.folder` tells which.
        resume: resume an interrupted run in `folder`.
        replace: whether a recipe in `folder` with other settings, and its saved rows, are replaced.
        settings: further settings of the recipe by name, such as `epochs=2`, `method="head"`, `text="body"` (a column);
            a path such as "train.seed" in a dict, `**{"train.seed": 7}`. A name that several tables of the recipe have
            means the one in [train]. If `data` is None, they hold for this call only.

    Returns:
        The trained model; its `report` has the metrics.

    Raises:
        FtoolError: a setting, the data or the base model can't be used, training is impossible, or `folder` holds
            another recipe. The message says what to change.
    """
    values = by_path(settings)
    base = None if base is None else os.fspath(base)
    if data is None:
        if folder is None:
            raise InputError("name the data, or the folder of a model whose recipe names it")
        place = Path(folder)
        recipe = apply_settings(recipe_for(place, RecipeFlags(task=task, base=base)), values)
    else:
        place = new_folder(data) if folder is None else Path(folder)
        recipe = start_model(place, data, task=task, base=base, settings=values, replace=replace)
    from ftool.train_model import train as train_recipe

    report = train_recipe(recipe, place, resume=resume, brief=data is None)
    return Run(place, recipe, report)


def open(folder: str | os.PathLike[str]) -> "Run":
    """Return the trained model in a model folder, such as "models/bank".

    Raises RecipeError if the folder has no recipe, and ModelFolderError if it has no trained model.
    """
    model = ModelFolder.around(Path(folder))
    if model is None:
        raise ModelFolderError(f"{folder} is a bundle on its own, without a model folder: use ftool.Bundle")
    recipe = Recipe.read(model.recipe)
    model.require_run()
    return Run(model.path, recipe)


@dataclass(frozen=True)
class Run:
    """A trained model in its model folder.

    Attributes:
        folder: the model folder, with the recipe and run/: the checkpoint in Hugging Face's layout.
        recipe: all settings of the model.
        report: the result of the training; None if the model was opened. `metrics` is there in both cases.
    """

    folder: Path
    recipe: Recipe = field(repr=False)
    report: "TrainReport | None" = field(default=None, repr=False, compare=False)

    @property
    def metrics(self) -> dict[str, Any]:
        """The report of the training as plain JSON, as `ftool train --json` prints it and run/metrics.json has it."""
        from ftool.workspace import read_metrics

        return read_metrics(ModelFolder(self.folder).run)

    @property
    def bundle(self) -> "Bundle":
        """The bundle that the model was exported to. Raises ModelFolderError if there is none yet: call `export`."""
        return Bundle(ModelFolder(self.folder).require_bundle(), self)

    def evaluate(
        self,
        data: Data = None,
        *,
        on: Literal["run", "bundle"] = "run",
        split: str = "test",
        by: Sequence[str] = (),
        mistakes: bool = False,
        columns: Mapping[str, str] | None = None,
    ) -> "Evaluation":
        """Measure the trained model, in torch, or its bundle, in the runtime, on labelled data.

        What was measured is kept in reports/evaluations/ of the model folder, for `ftool report`.

        Args:
            data: a path or rows in memory, as for `train`; None for the recipe's data.
            on: "run" or "bundle".
            split: the split of the data, such as "test" or "validation".
            by: columns of the data; metrics are also reported for each of their values.
            mistakes: whether to list the model's mistakes too, and labels of the recipe's data that are likely wrong.
            columns: the columns of `data` that differ from the recipe's, such as {"text": "body", "label": "queue"}.

        Raises FtoolError if the model or the data can't be read, or a column is missing.
        """
        from ftool.evaluation.evaluate import evaluate
        from ftool.evaluation.records import keep_evaluation

        source = _source(data, self.recipe.data, columns)
        report = evaluate(
            self.folder, self.recipe, on=on, data=source, split=split, by=tuple(by), mistakes=mistakes
        )
        keep_evaluation(ModelFolder(self.folder), report, None if source is None else source.path)
        return report

    def predict(self, inputs: Any, **options: Any) -> Any:
        """Answer inputs with the exported bundle; see `Bundle.predict`. Raises ModelFolderError if there is none."""
        return self.bundle.predict(inputs, **options)

    def export(self, precision: str | None = None, **settings: Any) -> "Bundle":
        """Turn the trained model into a bundle that runs without torch, and prove it on validation.

        Args:
            precision: the precision, such as "int8", "w8" or "fp32"; "auto" builds, proves and times every one, and
                keeps the cheapest; None for the recipe's.
            settings: further settings of the recipe's [export], such as `max_drop=0.005`; they hold for this call.

        Returns:
            The bundle; its `report` has what was measured.

        Raises:
            GateError: the quality would fall too much. Nothing is written; an existing bundle is kept.
            FtoolError: a setting is wrong, the data can't be read, or the export fails.
        """
        from ftool.exporting import export_run

        chosen = settings if precision is None else {**settings, "precision": precision}
        report = export_run(self.folder, self.recipe, chosen)
        if report.bundle is None:
            raise GateError(f"{self.folder}: no bundle was written: {report.refusal}", report)
        return Bundle(report.bundle, self, report)


@dataclass(frozen=True)
class Bundle:
    """An exported model: a folder that `ftool_runtime` runs without torch.

    Attributes:
        folder: the folder.
        run: the trained model that the bundle was made from; None for a bundle on its own.
        report: the result of the export; None if the bundle was opened.
        manifest: the content of ftool.json: task, labels, precision, and what was proved.

    Raises BundleError if `folder` is not a bundle.
    """

    folder: Path
    run: Run | None = None
    report: "ExportReport | Frontier | None" = field(default=None, repr=False, compare=False)
    manifest: Manifest = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder))
        object.__setattr__(self, "manifest", Manifest.read(self.folder))

    def load(
        self, *, device: "Device" = "cpu", threads: int | None = None, profile: "Profile" = "desktop"
    ) -> "Model[Any, Any]":
        """Load the bundle in the runtime; see `ftool_runtime.load`. Use the model as a context manager, or close it."""
        import ftool_runtime

        return ftool_runtime.load(self.folder, device=device, threads=threads, profile=profile)

    def predict(self, inputs: Any, **options: Any) -> Any:
        """Answer one input, or a list of inputs with a list of answers.

        The model is loaded and closed again; a program that answers more than once calls `load`.

        Args:
            inputs: a text, or what else the model reads, such as {"question": ..., "context": ...}; or a list of these.
            options: options of the model's call, such as `top_k=3`.

        Raises InputError for an input or option that the model does not take.
        """
        with self.load() as model:
            single = isinstance(inputs, str | Mapping) or not isinstance(inputs, Iterable)
            return model(inputs if single else list(inputs), **options)

    def evaluate(self, data: Data = None, **options: Any) -> "Evaluation":
        """Measure the bundle on labelled data; the arguments are those of `Run.evaluate`.

        Raises ModelFolderError for a bundle on its own.
        """
        if self.run is None:
            raise ModelFolderError(
                f"{self.folder} is a bundle on its own: only the bundle of a run is evaluated"
            )
        return self.run.evaluate(data, on="bundle", **options)

    def verify(self, *, device: "Device" = "cpu") -> "VerifyReport":
        """Check every file's hash, and replay the recorded answers; see `ftool_runtime.verify`."""
        import ftool_runtime

        return ftool_runtime.verify(self.folder, device=device)

    def parity(
        self,
        data: Data = None,
        *,
        split: str = "test",
        checkpoint: str | os.PathLike[str] | None = None,
        columns: Mapping[str, str] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> "ParityReport":
        """Compare the bundle's answers with those of the model that it was exported from, run by torch.

        Args:
            data: a path or rows in memory, as for `train`. None for the run's data; for a bundle on its own, for
                ftool's own texts.
            split: the split of the data.
            checkpoint: for a bundle on its own: the folder or hub id of the checkpoint that it was exported from.
            columns: the columns of `data` that differ from the recipe's, such as {"text": "body"}.
            facts: what the files of `checkpoint` leave open, such as {"pairs": True}.

        Returns:
            The report; `passed` says whether every difference is within its limit.

        Raises FtoolError if a model or the data can't be read, or bundle and checkpoint are different models.
        """
        from ftool.export import check_parity, check_parity_of_bundle

        own = None if self.run is None else self.run.recipe.data
        source = _source(data, own, columns)
        if checkpoint is not None:
            name = os.fspath(checkpoint)
            return check_parity_of_bundle(self.folder, name, split=split, data=source, facts=facts)
        if self.run is None:
            raise InputError(
                f"{self.folder} is a bundle on its own; name what it was exported from: checkpoint"
            )
        return check_parity(self.run.folder, self.run.recipe, split=split, data=source)

    def bench(
        self,
        data: Data = None,
        *,
        split: str = "test",
        against: Sequence[str | os.PathLike[str]] = (),
        checkpoint: str | os.PathLike[str] | None = None,
        threads: int | None = None,
        device: "Device" = "cpu",
        profile: "Profile" = "desktop",
        columns: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> "BenchReport":
        """Time the bundle: latency, throughput, start-up and memory, each engine in its own process.

        The report of a run's bundle is also written to reports/bench.json and reports/bench.html in its model folder.

        Args:
            data: a path or rows in memory, as for `train`. None for the run's data; for a bundle on its own, for the
                inputs of its golden answers.
            split: the split of the data.
            against: what to compare the bundle with: "torch" and folders of other bundles. Empty for torch, if the
                bundle has a run or `checkpoint` is given; ["none"] for nothing.
            checkpoint: the folder that torch runs, if it is not the run's.
            threads: threads of each engine; None for all physical cores.
            device: where bundles run; torch runs on the CPU.
            profile: the runtime's profile.
            columns: the columns of `data` that differ from the recipe's.
            settings: how much is timed, such as `rounds=3` or `lengths=(16, 64)`: the fields of `BenchSettings`.

        Raises FtoolError if a model or the data can't be read, or an engine can't be timed.
        """
        from ftool.bench.bench_bundle import BenchRequest, bench_bundle
        from ftool.bench.run import Placement

        recipe = None if self.run is None else self.run.recipe
        source = _source(data, None if recipe is None else recipe.data, columns)
        if source is not None:
            known = recipe or Recipe(task=self.manifest.task, data=source)
            recipe = dataclasses.replace(known, data=source)
        return bench_bundle(
            BenchRequest(
                bundle=self.folder,
                model=None if self.run is None else ModelFolder(self.run.folder),
                recipe=recipe,
                split=split,
                against=[os.fspath(other) for other in against],
                checkpoint=None if checkpoint is None else Path(checkpoint),
                placement=Placement(threads=threads, device=device, profile=profile),
                settings=settings,
            )
        )


def _source(data: Data, own: DataSettings | None, columns: Mapping[str, str] | None) -> DataSettings | None:
    """Return where other data than a recipe's own is and how it is read; None if `data` is None.

    `own` are the recipe's settings, which hold for the other data too, unless `columns` replaces them.
    """
    if data is None:
        if columns:
            raise InputError("columns are those of other data than the recipe's; name it")
        return None
    settings: DataSettings
    if isinstance(data, str | os.PathLike):
        settings = DataFlags(path=os.fspath(data)).apply(own)
    else:
        settings = RowsInMemory.of(data, own)
    return apply_settings(settings, columns or {})
