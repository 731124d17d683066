"""Run a bias benchmark on a model folder. A task's entry in the task table lists the benchmarks that fit the task."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ftool.data.rows.questions import QuestionReader
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
from ftool.evaluation.open_model import OpenModel
from ftool.evaluation.results import Evaluation
from ftool.evaluation.slices import SliceSettings
from ftool.recipe.recipe import Recipe
from ftool.tasks.base import Task, listed
from ftool.tasks.registry import find_task, task_names
from ftool.workspace import ModelFolder
from ftool_runtime.errors import InputError


@dataclass(frozen=True, kw_only=True)
class SuiteSettings:
    """Settings for a bias benchmark: its name, the file of its cases, and how to interpret the model's answers.

    Attributes:
        name: "hatecheck" or "bbq".
        path: the file of the cases; for bbq also a folder of such files.
        hateful: for hatecheck: the model's labels that mean that a text is hateful.
        option_label: for bbq on a pair classifier: the label that means that an option answers the question.
        always_answer: for bbq on a reader: whether to take the best span even if the reader prefers "no answer".
        slicing: settings for the tables by slice; None for the defaults.
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
                raise InputError(f"{flag} is only for {suite}; leave it out for {self.name}")


def evaluate_suite(folder: Path, *, on: Literal["run", "bundle"], suite: SuiteSettings) -> Evaluation:
    """Evaluate a model folder's run/ or bundle/ on a bias benchmark.

    Raises FtoolError if the benchmark or one of its settings does not fit the model's task, or if the file of cases is
    not in the benchmark's format.
    """
    row = Recipe.read(ModelFolder(folder).recipe).row
    if suite.name not in row.suites:
        tasks = listed(tuple(name for name in task_names() if suite.name in find_task(name).suites))
        raise InputError(f"{suite.name} is for {tasks}; this model does {row.name}")
    if suite.option_label and _reads(row):
        raise InputError(f"--option-label is for classifiers of pairs; this model does {row.name}")
    if suite.always_answer and not _reads(row):
        raise InputError(f"--always-answer is for readers; this model does {row.name}")
    with open_model(ModelFolder(folder), row, on) as model:
        return _SUITES[suite.name](model, row, suite)


def _reads(row: Task) -> bool:
    """Whether models of the task `row` answer questions about a context."""
    return issubclass(row.reader, QuestionReader)


def _hatecheck(model: OpenModel, row: Task, suite: SuiteSettings) -> Evaluation:
    table = only_table(read_tables(str(suite.path), None, 0), "test", str(suite.path))
    texts, gold = hatecheck.read_cases(table)
    known = model.known
    if known.pairs or known.regression:
        raise InputError(
            "hatecheck needs a classifier of single texts with labels; this model classifies pairs or gives numbers"
        )
    labels = hatecheck.hateful_labels(known.labels, suite.hateful)
    answered = classify_texts(model, texts).any_of(labels)
    return hatecheck.evaluate_cases(
        table, gold, answered, task=row.name, on=model.on, labels=labels, slicing=suite.slicing
    )


def _bbq(model: OpenModel, row: Task, suite: SuiteSettings) -> Evaluation:
    cases, table = read_cases(suite.path)
    if _reads(row):
        asked = [{"question": case.question, "context": case.context} for case in cases]
        chosen = options_of_answers(cases, answer_questions(model, asked, always=suite.always_answer))
    else:
        label = option_label(model.known, suite.option_label)
        scores = score_pairs(model, pairs_of_options(cases), label)
        chosen = options_of_scores(scores.reshape(len(cases), -1))
    return bbq.evaluate_choices(cases, table, chosen, task=row.name, on=model.on, slicing=suite.slicing)


_SUITES = {"hatecheck": _hatecheck, "bbq": _bbq}
