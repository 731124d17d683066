"""The class Recipe: all settings of a model, checked and completed with the defaults of the model's task."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ftool.errors import RecipeError
from ftool.recipe import toml
from ftool.recipe.override import apply_overrides
from ftool.recipe.paths import anchored, relative_to
from ftool.recipe.schema import SETTINGS, SOME_TASKS, marked, require
from ftool.recipe.sections import SCRATCH, Sections, chosen, default, is_default
from ftool.tasks.base import Task, listed
from ftool.tasks.registry import find_task, tasks_using
from ftool_runtime.errors import InputError
from ftool_runtime.schema import field_types

_LENGTH = 128  # tokens of the longest input, where the task has no other default
_UPDATE = 32  # examples that make an update of the weights
_STEP_TOKENS = _UPDATE * 128  # tokens that a training step reads
_SCRATCH_DEFAULTS = {"train.learning_rate": 1e-3, "train.epochs": 10.0}  # random weights need more training


@dataclass(frozen=True, kw_only=True)
class Recipe(Sections):
    """All settings of a model: task, base model, data, training and export.

    A setting that the user did not choose has a default that follows from the task and the base model. `is_default`
    recognises such settings; if the task or base is changed, their values change too. Paths are relative to the working
    directory in memory, and to the folder of the recipe file on disk. Raises RecipeError for an unknown task, for
    settings that contradict each other, and for settings that the user chose but the task does not use.
    """

    def __post_init__(self) -> None:
        require(self.base.strip() != "", "base", "a hub id, a folder, or a name such as minilm", self.base)
        row = self.row
        _complete(self, row)
        for path, value, usual in _settings(self):
            if not is_default(value) and value != usual and (tasks := _only_for(path)) and not row.uses(path):
                remedy = row.instead.get(path, "leave it out")
                raise RecipeError(f"{path} is for {listed(tasks)}, and the task is {row.name}; {remedy}")
        row.check(self)
        row.check_method(self)

    @property
    def row(self) -> Task:
        """The entry for the recipe's task in the table of tasks.

        Raises RecipeError, which suggests the most similar name, if there is no such task.
        """
        try:
            return find_task(self.task)
        except InputError as error:
            raise RecipeError(str(error)) from None

    @classmethod
    def read(cls, path: Path) -> "Recipe":
        """Read a recipe from the TOML file `path`.

        Raises RecipeError, which names the file and the key and says how to correct the value.
        """
        try:
            return anchored(SETTINGS.build(cls, toml.read(path)), path.parent)
        except RecipeError as error:
            raise RecipeError(f"{path}: {error}") from error

    def write(self, path: Path) -> None:
        """Write the recipe to the TOML file `path`, with an explanation of each setting.

        If the file can't be written in full, an existing file is left unchanged. Raises RecipeError if writing fails.
        """
        toml.write(relative_to(self, path.parent), path, lambda key: not _only_for(key) or self.row.uses(key))

    def with_overrides(self, assignments: list[str] | tuple[str, ...]) -> "Recipe":
        """Return the recipe with overrides such as `train.learning_rate=3e-5` applied.

        Raises RecipeError for the same reasons as `apply_overrides`, and if the settings contradict each other.
        """
        return apply_overrides(self, assignments)


def setting_types(row: Task | None = None) -> dict[str, Any]:
    """Return the annotation of each setting in the tables of a recipe, by path, of those that the task uses.

    None stands for all tasks.
    """
    tables = {name: kind for name, kind in field_types(Sections).items() if dataclasses.is_dataclass(kind)}
    found = {
        f"{table}.{name}": hint for table, kind in tables.items() for name, hint in _fields(kind).items()
    }
    return {
        path: hint for path, hint in found.items() if row is None or not _only_for(path) or row.uses(path)
    }


def _fields(kind: Any) -> Mapping[str, Any]:
    return field_types(kind)


def _complete(recipe: Recipe, row: Task) -> None:
    """Set the defaults of a recipe, in place.

    Each setting that the user did not choose gets the default of the task or the base model.
    """
    known: dict[str, Any] = {
        "export.precision": row.default_precision(recipe.export.layout),
        **row.defaults(recipe),
    }
    longest = chosen(recipe.train.max_length, known.get("train.max_length", _LENGTH))
    known = {**_step_size(longest, recipe.train.batch_size), **known}
    if row.metrics:
        known["train.metric"] = row.metrics[0]
    if recipe.base.startswith(SCRATCH):
        known |= _SCRATCH_DEFAULTS
    changed = {path: known.get(path, usual) for path, value, usual in _settings(recipe) if is_default(value)}
    for table, fields in _by_table(changed).items():
        values = {name: None if value is None else default(value) for name, value in fields.items()}
        object.__setattr__(recipe, table, replace(getattr(recipe, table), **values))


def _step_size(longest: int, batch_size: int) -> dict[str, Any]:
    """Return the default size of a training step, and of an update, for inputs of up to `longest` tokens.

    An update is made from 32 examples. A step reads at most 4,096 tokens at once, as many as 32 inputs of 128 tokens,
    because memory grows with them: 32 inputs of 384 tokens would take three times as much. `batch_size` is the
    recipe's.
    """
    fitting = max(1, min(_UPDATE, _STEP_TOKENS // longest))
    size = 1 << (fitting.bit_length() - 1)  # the largest power of two, so that steps add up to an update
    steps = _UPDATE // size if is_default(batch_size) else 1
    return {"train.batch_size": size, "train.gradient_accumulation": steps}


def _by_table(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    tables: dict[str, dict[str, Any]] = {}
    for path, value in values.items():
        table, _, name = path.partition(".")
        tables.setdefault(table, {})[name] = value
    return tables


def _settings(recipe: Recipe) -> Iterator[tuple[str, Any, Any]]:
    """Yield (path, value, default) of every setting in the tables of a recipe.

    The default is that of the dataclass, before the task and the base model are considered.
    """
    for table in dataclasses.fields(recipe):
        settings = getattr(recipe, table.name)
        if dataclasses.is_dataclass(settings):
            for field in dataclasses.fields(settings):
                yield f"{table.name}.{field.name}", getattr(settings, field.name), field.default


def _only_for(path: str) -> tuple[str, ...]:
    """Return the names of the tasks that use the setting or table `path`; empty if it is for every task.

    `path` is, for example, "train.pooling" or "generation".
    """
    table, _, name = path.partition(".")
    kind = field_types(Sections)[table]
    limited = marked(Sections, table, SOME_TASKS) or (name and marked(kind, name, SOME_TASKS))
    return tasks_using(path) if limited else ()
