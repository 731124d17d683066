"""The row of a task: all that ftool does differently for it. Every command is written once over this row."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftool.data.dataset import Dataset, Split
from ftool.data.rows.base import RowReader
from ftool.recipe.errors import RecipeError
from ftool.recipe.sections import PrecisionName, Sections

log = logging.getLogger(__name__)


def no_defaults(recipe: Sections) -> Mapping[str, Any]:  # noqa: ARG001 (every task's)
    """No default of its own."""
    return {}


def no_checks(recipe: Sections) -> None:
    """Nothing to check."""


def all_of_it(
    model: Any,  # noqa: ARG001
    split: Any,
    name: str,  # noqa: ARG001
    recipe: Sections,  # noqa: ARG001
    *,
    training: bool = False,  # noqa: ARG001
) -> tuple[Any, Mapping[str, Any]]:
    """The split as it is, with nothing to tell."""
    return split, {}


def own_inputs(split: Split[Any], bundle: Path) -> Sequence[Any]:  # noqa: ARG001
    """What the model is called with."""
    return split.inputs


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task. The functions import what is heavy, such as torch, when they are called.

    A "loaded" model is a `LoadedModel` of `ftool_export`; an "open" model is an `evaluation.opened.OpenModel`.

    Attributes:
        name: Hugging Face's name of it.
        reader: what reads the rows of its data.

        settings: the paths of the settings marked `SOME_TASKS` that it uses, such as "train.pooling"; "generation"
            stands for the whole table.
        defaults: by path, the settings' defaults that depend on the task or on other settings of the recipe.
        check: raises RecipeError for settings that do not go together.
        instead: by path of a setting that the task does not use, what serves its purpose.
        methods: the values of train.method that it can be trained by.
        metrics: the values of train.metric, the default first; none if the task has one metric.
        precision: the precision of a bundle unless recipe or flag says otherwise.
        scratch: the families of random weights that it can be trained from, such as "t5".
        named_bases: whether ftool's named base models fit it.

        create: a loaded model to train, from the recipe's base. Raises FtoolError.
        load: the loaded model in run/, any other folder, or a hub id. Raises CheckpointError.
        save: writes a loaded model into an empty folder.
        lengths: by path, the settings that a loaded model has in fact, such as "train.max_length".
        objective: what a loaded model is trained for: from the data, its fitted splits by name, and the recipe.

        answering: a loaded model behind the calls of the runtime's model.
        fit: a split as an open model can read it, and what metrics.json tells of it, such as how many texts are cut;
            warns of what is cut or left out. It takes the model, the split and its name, the recipe, and `training`:
            whether the split is learnt from.
        judge: an `evaluation.results.Judged` of an open model on a fitted split.
        predicts: whether `judge` gives predictions, which `evaluate --predictions` writes.

        examples: a fitted split for `ftool_export`, with the metric that decides, for a loaded model.
        samples: some inputs for `ftool_export` without answers, if no data was named.
        in_languages: a loaded model set to a source and a target language, for export.
        timed: what the model in a bundle's folder is timed on, from a split.
        texts_per_round: how many inputs are timed in a round.
        throughput_texts: how many inputs one call has at most, when throughput is timed.
        teachable: whether one example can teach a trained model, see `ftool.adapt`.
        suites: the suites of bias that measure its models.
    """

    name: str
    reader: type[RowReader[Any]]

    settings: frozenset[str] = frozenset()
    defaults: Callable[[Sections], Mapping[str, Any]] = no_defaults
    check: Callable[[Sections], None] = no_checks
    instead: Mapping[str, str] = field(default_factory=dict)
    methods: tuple[str, ...] = ("full", "lora")
    metrics: tuple[str, ...] = ()
    precision: PrecisionName = "int8"
    scratch: tuple[str, ...] = ()
    named_bases: bool = True

    create: Callable[[Sections, Dataset[Any]], Any]
    load: Callable[[str | Path], Any]
    save: Callable[[Any, Path], None]
    lengths: Callable[[Any, Sections], Mapping[str, Any]] = lambda loaded, _: {
        "train.max_length": loaded.max_length
    }
    objective: Callable[[Any, Dataset[Any], Mapping[str, Any], Sections], Any]

    answering: Callable[[Any], Any]
    fit: Callable[..., tuple[Any, Mapping[str, Any]]] = all_of_it
    judge: Callable[[Any, Any], Any]
    predicts: bool = False

    examples: Callable[[Any, Any, Sections], Any]
    samples: Callable[[Any], Any]
    in_languages: Callable[[Any, str | None, str | None], Any] = lambda loaded, source, target: loaded  # noqa: ARG005
    timed: Callable[[Split[Any], Path], Sequence[Any]] = own_inputs
    texts_per_round: int = 20
    throughput_texts: int = 64
    teachable: bool = False
    suites: tuple[str, ...] = ()

    def uses(self, path: str) -> bool:
        """Whether the task uses a setting that only some tasks use."""
        return path in self.settings or path.partition(".")[0] in self.settings

    def check_method(self, recipe: Sections) -> None:
        """Raise RecipeError for a training method or a metric that the task does not have."""
        method, metric = recipe.train.method, recipe.train.metric
        if method not in self.methods:
            allowed = " or ".join(f'"{name}"' for name in self.methods)
            raise RecipeError(f'train.method can\'t be "{method}" for {self.name}; use {allowed}')
        if metric is not None and self.metrics and metric not in self.metrics:
            raise RecipeError(
                f"train.metric must be one of {', '.join(self.metrics)} for {self.name}, got {metric!r}"
            )


def check_stride(recipe: Sections) -> None:
    """Raise RecipeError if windows overlap by all they can hold."""
    longest, stride = recipe.train.max_length, recipe.train.stride
    if stride >= longest - 3:  # three special tokens beside a question and its context
        raise RecipeError(
            f"train.stride must be below train.max_length, got {stride} and {longest}; lower it"
        )


def warn_of_cut(cut: int, count: int, split: str, max_length: int) -> None:
    """Warn of texts that are longer than the model reads."""
    if cut:
        log.warning(
            "%d of %d %s texts have more than %d tokens and were cut; train.max_length sets how many",
            cut,
            count,
            split,
            max_length,
        )


def listed(names: tuple[str, ...]) -> str:
    """Names for a sentence: "a, b and c"."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
