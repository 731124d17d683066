"""The shipped evaluations of bias by name, each with the tasks whose models it can be run on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ftool.data.sources import only_table, read_tables
from ftool.model_folder import ModelFolder
from ftool.recipe import Recipe
from ftool.results import Evaluation
from ftool.slices import SliceSettings
from ftool_runtime.errors import InputError

from . import bbq, hatecheck
from .answering import answer_questions, classifier_labels, classify_texts
from .bbq_cases import read_cases
from .choosing import options_of_answers

SUITES = {"hatecheck": ("text-classification",), "bbq": ("question-answering",)}


@dataclass(frozen=True, kw_only=True)
class SuiteSettings:
    """Which suite, from which file, and what its answers mean.

    Attributes:
        hateful: hatecheck: the model's labels that say that a text is hateful.
    """

    name: str
    path: Path
    hateful: Sequence[str] = ()
    slicing: SliceSettings | None = None


def evaluate_suite(folder: Path, *, on: Literal["run", "bundle"], suite: SuiteSettings) -> Evaluation:
    """What the suite says of a model folder's run/ or bundle/.

    Raises FtoolError where the model's task is none of the suite's, or the file is not the suite's.
    """
    task = Recipe.read(ModelFolder(folder).recipe).task
    tasks = SUITES[suite.name]
    if task not in tasks:
        raise InputError(f"{suite.name} is for {' and '.join(tasks)}; this model does {task}")
    return _SUITES[suite.name](folder, on, suite)


def _hatecheck(folder: Path, on: Literal["run", "bundle"], suite: SuiteSettings) -> Evaluation:
    table = only_table(read_tables(str(suite.path), None, 0), "test", str(suite.path))
    texts, gold = hatecheck.read_cases(table)
    labels = hatecheck.hateful_labels(classifier_labels(folder, on), suite.hateful)
    answered = classify_texts(folder, on, texts).any_of(labels)
    return hatecheck.judge_cases(table, gold, answered, on=on, labels=labels, slicing=suite.slicing)


def _bbq(folder: Path, on: Literal["run", "bundle"], suite: SuiteSettings) -> Evaluation:
    if suite.hateful:
        raise InputError("--hateful is for hatecheck alone")
    cases, table = read_cases(suite.path)
    asked = [{"question": case.question, "context": case.context} for case in cases]
    chosen = options_of_answers(cases, answer_questions(folder, on, asked))
    return bbq.judge_choices(cases, table, chosen, task="question-answering", on=on, slicing=suite.slicing)


_SUITES = {"hatecheck": _hatecheck, "bbq": _bbq}
