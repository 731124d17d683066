"""The shipped evaluations of bias by name; the rows of tasks say which of them fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ftool.data.sources.find import only_table, read_tables
from ftool.evaluation.bias import bbq, hatecheck
from ftool.evaluation.bias.answering import answer_questions, classify_texts, score_pairs
from ftool.evaluation.bias.bbq_cases import read_cases
from ftool.evaluation.bias.choosing import (
    option_label,
    options_of_answers,
    options_of_scores,
    pairs_of_options,
)
from ftool.evaluation.evaluate import open_model
from ftool.evaluation.opened import OpenModel
from ftool.evaluation.results import Evaluation
from ftool.evaluation.slices import SliceSettings
from ftool.recipe.recipe import Recipe
from ftool.tasks.base import Task, listed
from ftool.tasks.table import find_task, task_names
from ftool.workspace import ModelFolder
from ftool_runtime.errors import InputError


@dataclass(frozen=True, kw_only=True)
class SuiteSettings:
    """Which suite, from which file, and what its answers mean.

    Attributes:
        hateful: hatecheck: the model's labels that say that a text is hateful.
        option_label: bbq on a classifier of pairs: its label that says that an option answers the question.
        always_answer: bbq on a reader: whether its best stretch counts where it would say that there is no answer.
    """

    name: str
    path: Path
    hateful: Sequence[str] = ()
    option_label: str | None = None
    always_answer: bool = False
    slicing: SliceSettings | None = None

    def __post_init__(self) -> None:
        for flag, value, suite in (
            ("--hateful", self.hateful, "hatecheck"),
            ("--option-label", self.option_label, "bbq"),
            ("--always-answer", self.always_answer, "bbq"),
        ):
            if value and self.name != suite:
                raise InputError(f"{flag} is for {suite} alone; leave it out of {self.name}")


def evaluate_suite(folder: Path, *, on: Literal["run", "bundle"], suite: SuiteSettings) -> Evaluation:
    """Measure a model folder's run/ or bundle/ by a suite.

    Raises FtoolError if the suite or one of its settings does not fit the model's task, or the file is not the suite's.
    """
    row = Recipe.read(ModelFolder(folder).recipe).row
    if suite.name not in row.suites:
        tasks = listed(tuple(name for name in task_names() if suite.name in find_task(name).suites))
        raise InputError(f"{suite.name} is for {tasks}; this model does {row.name}")
    with open_model(ModelFolder(folder), row, on) as model:
        return _SUITES[suite.name](model, row, suite)


def _hatecheck(model: OpenModel, row: Task, suite: SuiteSettings) -> Evaluation:
    table = only_table(read_tables(str(suite.path), None, 0), "test", str(suite.path))
    texts, gold = hatecheck.read_cases(table)
    known = model.known
    if known.pairs or known.regression:
        raise InputError(
            "hatecheck needs a classifier of single texts with labels; this model is another kind"
        )
    labels = hatecheck.hateful_labels(known.labels, suite.hateful)
    answered = classify_texts(model, texts).any_of(labels)
    return hatecheck.judge_cases(
        table, gold, answered, task=row.name, on=model.on, labels=labels, slicing=suite.slicing
    )


def _bbq(model: OpenModel, row: Task, suite: SuiteSettings) -> Evaluation:
    reads = hasattr(model.model, "spans")
    if suite.option_label and reads:
        raise InputError(f"--option-label is for classifiers of pairs; this model does {row.name}")
    if suite.always_answer and not reads:
        raise InputError(f"--always-answer is for readers; this model does {row.name}")
    cases, table = read_cases(suite.path)
    if reads:
        asked = [{"question": case.question, "context": case.context} for case in cases]
        chosen = options_of_answers(cases, answer_questions(model, asked, always=suite.always_answer))
    else:
        label = option_label(model.known, suite.option_label)
        scores = score_pairs(model, pairs_of_options(cases), label)
        chosen = options_of_scores(scores.reshape(len(cases), -1))
    return bbq.judge_choices(cases, table, chosen, task=row.name, on=model.on, slicing=suite.slicing)


_SUITES = {"hatecheck": _hatecheck, "bbq": _bbq}
