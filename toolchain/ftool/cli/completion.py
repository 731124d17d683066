"""Shell completion of values that are not fixed choices: tasks, base models, data, and settings of a recipe."""

from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click
from click.shell_completion import CompletionItem

from ftool.tasks.base import Task
from ftool.tasks.registry import find_task, task_names
from ftool_runtime.errors import FtoolError


def folders(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Let the shell complete a folder."""
    return [CompletionItem(incomplete, type="dir")]


def tasks(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of tasks that begin with `incomplete`."""
    return [name for name in task_names() if name.startswith(incomplete)]


def bases(ctx: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Return the named base models of the task that begin with `incomplete`; if there are none, a folder."""
    from ftool.bases import BASES, SCRATCH_FAMILIES, SCRATCH_SIZES
    from ftool.recipe.sections import SCRATCH

    row = _task(ctx)
    named = list(BASES) if row is None or row.named_bases else []
    families = SCRATCH_FAMILIES if row is None else row.scratch
    names = [*named, *(f"{SCRATCH}{family}-{size}" for family in families for size in SCRATCH_SIZES)]
    return [CompletionItem(name) for name in names if name.startswith(incomplete)] or [
        CompletionItem(incomplete, type="dir")
    ]


def data(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Return the data sets that ship with ftool and begin with `incomplete`; if there are none, a file or folder."""
    from ftool.data.sources.find import shipped_data

    found = [CompletionItem(name) for name in shipped_data() if incomplete and name.startswith(incomplete)]
    return found or [CompletionItem(incomplete, type="file")]


def settings(ctx: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Return assignments such as `train.epochs=` that begin with `incomplete`, for the settings that the task uses.

    The values of a setting follow its name if they are few and no other setting begins with `incomplete`.
    """
    from ftool.recipe.recipe import setting_types

    name = incomplete.partition("=")[0]
    exact = "=" in incomplete
    known = {
        path: hint
        for path, hint in setting_types(_task(ctx)).items()
        if (path == name if exact else path.startswith(name))
    }
    if len(known) == 1:
        ((path, hint),) = known.items()
        values = [f"{path}={value}" for value in _values(hint)]
        return [one for one in values if one.startswith(incomplete)] or ([] if exact else [f"{path}="])
    return [f"{path}=" for path in known]


def _values(hint: Any) -> list[str]:
    found: list[str] = []
    for option in (hint, *get_args(hint)) if get_origin(hint) is not Literal else (hint,):
        if get_origin(option) is Literal:
            found += map(str, get_args(option))
        elif option is bool:
            found += ["true", "false"]
    return list(dict.fromkeys(found))


def _task(ctx: click.Context) -> Task | None:
    """Return the task that --task names, or the recipe in FOLDER; None if neither does.

    FOLDER is looked for among all words, because click does not parse arguments if the last option has no value yet.
    """
    from ftool.recipe.recipe import Recipe
    from ftool.workspace import ModelFolder

    try:
        if ctx.params.get("task"):
            return find_task(ctx.params["task"])
        places = [Path(word) for word in (*ctx.meta.get("ftool.arguments", ())[1:], ".")]
        recipes = [file for place in places if (file := ModelFolder(place).recipe).is_file()]
        return Recipe.read(recipes[0]).row if recipes else None
    except FtoolError:
        return None
