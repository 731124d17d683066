"""`Task`: a table row with everything that differs between tasks, so that commands share their code for all tasks."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ftool.data.dataset import Dataset, Split
from ftool.data.rows.base import RowReader
from ftool.errors import RecipeError
from ftool.recipe.sections import Sections, given
from ftool_runtime.bundle.precisions import LayoutName, PrecisionName

if TYPE_CHECKING:
    from ftool.data.inspection.report import Inspection
    from ftool.evaluation.baselines import FittedBaseline
    from ftool.evaluation.mistakes import LabelErrors
    from ftool.evaluation.open_model import OpenModel

log = logging.getLogger(__name__)


# The settings of tasks whose models can learn from a trained model.
DISTILLATION: Final = frozenset(
    {"train.distill_from", "train.distill_weight", "train.distill_temperature", "train.distill_hidden"}
)


def no_defaults(recipe: Sections) -> Mapping[str, Any]:  # noqa: ARG001 (every task's)
    """Return an empty table: the default value of the field `Task.defaults`."""
    return {}


def no_checks(recipe: Sections) -> None:
    """Accept every recipe: the default value of the field `Task.check`."""


def no_suggestions(recipe: Sections, found: "Inspection") -> list[str]:  # noqa: ARG001
    """Return no lines: the default value of the field `Task.suggest`."""
    return []


def fit_unchanged(
    model: Any,  # noqa: ARG001
    split: Any,
    name: str,  # noqa: ARG001
    recipe: Sections,  # noqa: ARG001
    *,
    training: bool = False,  # noqa: ARG001
) -> tuple[Any, Mapping[str, Any]]:
    """Return the split unchanged, and no facts for metrics.json: the default value of the field `Task.fit`."""
    return split, {}


def chosen_metric(facts: Any, split: Any, recipe: Sections) -> str | None:  # noqa: ARG001
    """Return train.metric, or None if it has its default value: the default value of the field `Task.main_metric`."""
    return given(recipe.train.metric)


def split_inputs(split: Split[Any], bundle: Path) -> Sequence[Any]:  # noqa: ARG001
    """Return the inputs of the split: the default value of the field `Task.timed`."""
    return split.inputs


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task: its names, settings and functions. Functions import heavy modules such as torch only when called.

    In signatures, `loaded` is a `LoadedModel` of `ftool_export`: a checkpoint in torch. `model` is an `OpenModel` of
    `ftool.evaluation.open_model`: a run or a bundle that can be called. `split` is a `Split` of the data; a fitted
    split is one that `fit` has returned.

    Attributes:
        name: Hugging Face's name of the task, such as "text-classification".
        reader: the class that converts rows of data to examples.
        settings: the settings that the task uses, of those that not all tasks use (marked `SOME_TASKS` in
            ftool.recipe), as paths such as "train.pooling"; "generation" means the whole table.
        defaults: (recipe) -> defaults by path, for settings whose default depends on the task or on other settings.
        check: (recipe) -> None. Raises RecipeError for settings that contradict each other.
        instead: hints for error messages about settings that the task does not use, by the setting's path.
        methods: the allowed values of train.method.
        metrics: the allowed values of train.metric, the default first; empty if the task has only one metric.
        main_metric: (model's facts, fitted split, recipe) -> the metric that selects weights, ranks slices, and decides
            whether a bundle is accepted; None for the default of the statistics that `measure` returns.
        precision: the default of export.precision.
        standard_precision: the default of export.precision if export.layout is "standard".
        scratch: the families of bases with random weights that the task can be trained from, such as "t5".
        named_bases: whether the named bases of `ftool.bases` can be trained for the task.
        suggest: (recipe, inspection of the data) -> lines with settings that may fit the data better, for `ftool new`.
        create: (recipe, data) -> loaded, the base model ready to be trained. Raises FtoolError.
        facts: the names of facts that a checkpoint's files may lack, such as "pairs"; `load` takes them as keyword
            arguments.
        load: (folder or hub id, **facts) -> loaded. Raises CheckpointError.
        decide: (loaded, split) -> loaded, in which the split has decided what neither the checkpoint nor the user says.
        lengths: (loaded, recipe) -> the model's actual values of length settings by path, such as "train.max_length".
        objective: (loaded, data, fitted splits by name, recipe) -> the `Objective` to train for.
        answering: (loaded) -> the loaded model with the call interface of the runtime's models.
        fit: (model, split, split's name, recipe, *, training) -> (fitted split, facts for metrics.json). Drops or
            tokenises examples as the model requires, counts texts that are cut, and warns. `training` is true for the
            split that the model learns from.
        measure: (model, fitted split) -> `Measurements` of `ftool.evaluation.results`: metrics and statistics.
        cross_fit: (loaded, fitted split, outputs of `loaded`, recipe) -> the numbers, such as thresholds, to judge each
            example with, tuned on other examples; `measure` takes them as a third argument. None: the task tunes none.
        baselines: (data, fitted test split, recipe) -> simple models trained on the training split, with statistics of
            their answers to the examples of the fitted test split; None if the task has no baselines.
        label_errors: (data, recipe) -> the labels of the data that are likely wrong; None if `ftool evaluate
            --mistakes` is not for the task.
        extra: the extra of ftool that training the task's models needs; None if it needs none.
        predicts: whether `measure` also returns predictions, which `ftool evaluate --predictions` writes.
        examples: (loaded, fitted split, recipe) -> the `Examples` on which `ftool_export` compares the exported model
            with `loaded`, with the metric to compare.
        samples: (loaded) -> `Examples` without correct answers, for an export without data.
        timed: (split, bundle) -> the inputs that `ftool bench` times.
        texts_per_round: the number of inputs that `ftool bench` times in a round.
        throughput_texts: the most inputs in one call when `ftool bench` measures throughput.
        adaptable: whether `ftool adapt` can teach a trained model one example.
        replay: (loaded, training split) -> `ReplayTexts` for a bundle that can be taught on the device; None if the
            task's can't.
        suites: the names of the bias suites that can measure the task's models.
    """

    name: str
    reader: type[RowReader[Any]]

    settings: frozenset[str] = frozenset()
    defaults: Callable[[Sections], Mapping[str, Any]] = no_defaults
    check: Callable[[Sections], None] = no_checks
    instead: Mapping[str, str] = field(default_factory=dict)
    methods: tuple[str, ...] = ("full", "lora")
    metrics: tuple[str, ...] = ()
    main_metric: Callable[[Any, Any, Sections], str | None] = chosen_metric
    precision: PrecisionName = "int8"
    standard_precision: PrecisionName = "int8-rows"
    scratch: tuple[str, ...] = ()
    named_bases: bool = True

    suggest: "Callable[[Sections, Inspection], list[str]]" = no_suggestions
    create: Callable[[Sections, Dataset[Any]], Any]
    facts: frozenset[str] = frozenset()
    load: Callable[..., Any]
    decide: Callable[[Any, Split[Any]], Any] = lambda loaded, split: loaded  # noqa: ARG005
    lengths: Callable[[Any, Sections], Mapping[str, Any]] = lambda loaded, _: {
        "train.max_length": loaded.max_length
    }
    objective: Callable[[Any, Dataset[Any], Mapping[str, Any], Sections], Any]

    answering: Callable[[Any], Any]
    fit: Callable[..., tuple[Any, Mapping[str, Any]]] = fit_unchanged
    measure: Callable[..., Any]
    cross_fit: Callable[[Any, Any, Any, Sections], Any] | None = None
    baselines: "Callable[[Dataset[Any], Any, Sections], list[FittedBaseline]] | None" = None
    label_errors: "Callable[[Dataset[Any], Sections], LabelErrors] | None" = None
    extra: str | None = None
    predicts: bool = False

    examples: Callable[[Any, Any, Sections], Any]
    samples: Callable[[Any], Any]
    timed: Callable[[Split[Any], Path], Sequence[Any]] = split_inputs
    texts_per_round: int = 20
    throughput_texts: int = 64
    adaptable: bool = False
    replay: Callable[[Any, Split[Any]], Any] | None = None
    suites: tuple[str, ...] = ()

    def uses(self, path: str) -> bool:
        """Return whether the task uses `path`, the path of a setting that some tasks use, such as "train.pooling"."""
        return path in self.settings or path.partition(".")[0] in self.settings

    def default_precision(self, layout: LayoutName) -> PrecisionName:
        """Return the default of export.precision for a layout."""
        return self.standard_precision if layout == "standard" else self.precision

    def check_method(self, recipe: Sections) -> None:
        """Raise RecipeError for a training method or a metric that the task does not support."""
        method, metric = recipe.train.method, recipe.train.metric
        if method not in self.methods:
            allowed = " or ".join(f'"{name}"' for name in self.methods)
            raise RecipeError(f'train.method can\'t be "{method}" for {self.name}; use {allowed}')
        if metric is not None and self.metrics and metric not in self.metrics:
            raise RecipeError(
                f"train.metric must be one of {', '.join(self.metrics)} for {self.name}, got {metric!r}"
            )


def check_stride(recipe: Sections) -> None:
    """Raise RecipeError if train.stride, the overlap of two windows, is as long as a window without special tokens."""
    longest, stride = recipe.train.max_length, recipe.train.stride
    if stride >= longest - 3:  # three special tokens around a question and its context
        raise RecipeError(
            f"train.stride must be below train.max_length, got {stride} and {longest}; lower it"
        )


def count_cut(model: "OpenModel", texts: Sequence[Any], split: str) -> Mapping[str, Any]:
    """Return the number of `texts` that exceed the model's limit, for metrics.json; log a warning if any do.

    `texts` are all texts or pairs of texts, with the prefix, of the split with the name `split`.
    """
    cut = sum(count > model.max_length for count in model.token_counts(texts, special=True))
    if cut:
        log.warning(
            "%d of %d %s texts have more than %d tokens and were cut; raise train.max_length to keep more",
            cut,
            len(texts),
            split,
            model.max_length,
        )
    return {"texts_cut": cut}


def listed(names: tuple[str, ...]) -> str:
    """Return `names` joined for a sentence, such as "a, b and c"."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
