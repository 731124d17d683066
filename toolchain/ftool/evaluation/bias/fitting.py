"""Which bias benchmarks a model can be expected to be about."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from ftool.data.rows.questions import QuestionReader
from ftool.evaluation.bias.hatecheck import usual_labels
from ftool.tasks.base import Task

_FITS: Final[Mapping[str, Callable[[Task, Sequence[str]], bool]]] = {
    "hatecheck": lambda _, labels: bool(usual_labels(labels)),
    "bbq": lambda row, _: issubclass(row.reader, QuestionReader),  # a pair classifier's user knows of it
}


def fitting_suites(row: Task, labels: Sequence[str]) -> list[str]:
    """Return those of a task's bias benchmarks that a model with these labels is about."""
    return [name for name in row.suites if _FITS[name](row, labels)]
