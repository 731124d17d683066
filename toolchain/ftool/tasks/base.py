"""The row of a task: all that ftool does differently for it. Every command is written once over this row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ftool.data.rows.base import RowReader
from ftool.recipe.errors import RecipeError
from ftool.recipe.sections import PrecisionName, Sections


def no_defaults(recipe: Sections) -> Mapping[str, Any]:  # noqa: ARG001 (every task's)
    """No default of its own."""
    return {}


def no_checks(recipe: Sections) -> None:
    """Nothing to check."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task.

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
    """

    name: str
    reader: type[RowReader[Any]]
    settings: frozenset[str] = frozenset()
    defaults: Callable[[Sections], Mapping[str, Any]] = no_defaults
    check: Callable[[Sections], None] = no_checks
    instead: Mapping[str, str] = field(default_factory=dict)
    methods: tuple[str, ...] = ("full", "lora", "head")
    metrics: tuple[str, ...] = ()
    precision: PrecisionName = "int8"
    scratch: tuple[str, ...] = ()
    named_bases: bool = True
    writes: bool = False
    implementation: str = ""

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
    """Raise RecipeError for windows that overlap by all they can hold."""
    longest, stride = recipe.train.max_length, recipe.train.stride
    if stride >= longest - 3:  # three special tokens beside a question and its context
        raise RecipeError(
            f"train.stride must be below train.max_length, got {stride} and {longest}; lower it"
        )


def listed(names: tuple[str, ...]) -> str:
    """Names for a sentence: "a, b and c"."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
