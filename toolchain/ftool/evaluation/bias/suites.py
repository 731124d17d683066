"""The shipped evaluations of bias by name, each with the tasks whose models it can be run on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ftool.data.sources.find import only_table, read_tables
from ftool.evaluation.bias import bbq, hatecheck
from ftool.evaluation.bias.answering import answer_questions, classifier_of, classify_texts, score_pairs
from ftool.evaluation.bias.bbq_cases import read_cases
from ftool.evaluation.bias.choosing import (
    option_label,
    options_of_answers,
    options_of_scores,
    pairs_of_options,
)
from ftool.evaluation.results import Evaluation
from ftool.evaluation.slices import SliceSettings
from ftool.recipe.recipe import Recipe
from ftool.workspace import ModelFolder
from ftool_runtime.errors import InputError

SUITES = {"hatecheck": ("text-classification",), "bbq": ("question-answering", "text-classification")}


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
    """What the suite says of a model folder's run/ or bundle/.

    Raises FtoolError where the model's task is none of the suite's or none that a setting is for, or the file is not
    the suite's.
    """
    task = Recipe.read(ModelFolder(folder).recipe).task
    if on == "bundle":
        ModelFolder(folder).check_bundle()
    tasks = SUITES[suite.name]
    if task not in tasks:
        raise InputError(f"{suite.name} is for {' and '.join(tasks)}; this model does {task}")
    if suite.option_label and task == "question-answering":
        raise InputError(f"--option-label is for classifiers of pairs; this model does {task}")
    if suite.always_answer and task != "question-answering":
        raise InputError(f"--always-answer is for readers; this model does {task}")
    return _SUITES[suite.name](folder, on, suite)


def _hatecheck(folder: Path, on: Literal["run", "bundle"], suite: SuiteSettings) -> Evaluation:
    table = only_table(read_tables(str(suite.path), None, 0), "test", str(suite.path))
    texts, gold = hatecheck.read_cases(table)
    model = classifier_of(folder, on)
    if model.pairs or model.regression:
        raise InputError(
            "hatecheck needs a classifier of single texts with labels; this model is another kind"
        )
    labels = hatecheck.hateful_labels(model.labels, suite.hateful)
    answered = classify_texts(folder, on, texts).any_of(labels)
    return hatecheck.judge_cases(table, gold, answered, on=on, labels=labels, slicing=suite.slicing)


def _bbq(folder: Path, on: Literal["run", "bundle"], suite: SuiteSettings) -> Evaluation:
    cases, table = read_cases(suite.path)
    task = Recipe.read(ModelFolder(folder).recipe).task
    if task == "question-answering":
        asked = [{"question": case.question, "context": case.context} for case in cases]
        chosen = options_of_answers(cases, answer_questions(folder, on, asked, always=suite.always_answer))
    else:
        label = option_label(classifier_of(folder, on), suite.option_label)
        scores = score_pairs(folder, on, pairs_of_options(cases), label)
        chosen = options_of_scores(scores.reshape(len(cases), -1))
    return bbq.judge_choices(cases, table, chosen, task=task, on=on, slicing=suite.slicing)


_SUITES = {"hatecheck": _hatecheck, "bbq": _bbq}
