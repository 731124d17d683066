"""The registry of tasks by name, with functions to look up and add tasks."""

import difflib

from ftool.tasks.base import Task
from ftool.tasks.classification import TASK as CLASSIFICATION
from ftool.tasks.embedding import TASK as EMBEDDING
from ftool.tasks.generation import SUMMARIZATION, TEXT_GENERATION, TRANSLATION
from ftool.tasks.question_answering import TASK as QUESTION_ANSWERING
from ftool.tasks.ranking import TASK as RANKING
from ftool.tasks.tagging import TASK as TAGGING
from ftool_runtime.errors import InputError

_TASKS = {
    row.name: row
    for row in (
        CLASSIFICATION,
        TAGGING,
        QUESTION_ANSWERING,
        EMBEDDING,
        RANKING,
        SUMMARIZATION,
        TRANSLATION,
        TEXT_GENERATION,
    )
}


def find_task(name: str) -> Task:
    """Return the row of the task called `name`. Raises InputError for an unknown name, and suggests the nearest."""
    if name not in _TASKS:
        near = difflib.get_close_matches(name, _TASKS, n=1)
        remedy = f"did you mean {near[0]}?" if near else f"known tasks are {', '.join(_TASKS)}"
        raise InputError(f'task "{name}" is unknown; {remedy}')
    return _TASKS[name]


def find_synonym(name: str) -> Task:
    """Return the row of the task with this name, or with a synonym such as "sequence-classification".

    Raises InputError for an unknown name, and for a synonym that may mean both summarization and translation.
    """
    if name in _TASKS:  # optimum calls both tasks of encoder-decoders by one name
        return _TASKS[name]
    from optimum.exporters.tasks import TasksManager

    synonym = str(TasksManager.map_from_synonym(name)).removesuffix("-with-past")
    if synonym == "text2text-generation":
        raise InputError(f"the task {name!r} is ambiguous; use summarization or translation")
    return find_task(synonym if synonym in _TASKS else name)


def task_names() -> tuple[str, ...]:
    """Return the names of all tasks."""
    return tuple(_TASKS)


def tasks_taking(fact: str) -> tuple[str, ...]:
    """Return the names of the tasks whose `load` takes a fact about a checkpoint, such as "pairs"."""
    return tuple(row.name for row in _TASKS.values() if fact in row.facts)


def tasks_using(path: str) -> tuple[str, ...]:
    """Return the names of the tasks that use a setting, such as "train.pooling"."""
    return tuple(row.name for row in _TASKS.values() if row.uses(path))


def register(row: Task) -> None:
    """Add a task, so that recipes can name it. Raises InputError if another row has this name."""
    if _TASKS.get(row.name, row) is not row:
        raise InputError(f"a task {row.name!r} already exists; choose another name")
    _TASKS[row.name] = row


def unregister(row: Task) -> None:
    """Remove a task that `register` added to the registry."""
    del _TASKS[row.name]
