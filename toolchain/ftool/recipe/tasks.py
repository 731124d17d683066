"""The tasks that a recipe can name, and what depends on the task alone: its settings, metrics and precision."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from ftool.recipe.errors import RecipeError
from ftool.recipe.schema import applies_to, join, show

if TYPE_CHECKING:
    from ftool.recipe.settings import PrecisionName, Recipe

PAIR_TASKS = ("summarization", "translation")  # a source and a target: encoder-decoders
GENERATION_TASKS = (*PAIR_TASKS, "text-generation")
QUESTION_TASK = "question-answering"
EMBEDDING_TASK = "feature-extraction"
TAGGING_TASK = "token-classification"
TASKS = ("text-classification", TAGGING_TASK, QUESTION_TASK, EMBEDDING_TASK, *GENERATION_TASKS)

# What serves another task's purpose.
_INSTEAD = {
    "data.text": "data.source is the column of what goes in",
    "data.label": "data.target is the column of what should come out",
    "data.source": "data.text is the column of the texts",
    "data.target": "data.label is the column of the labels",
}


@dataclass(frozen=True)
class TextMetrics:
    """What a task may be judged by; `names` holds what train.metric can be, the default first."""

    names: tuple[str, ...]

    @property
    def default(self) -> str:
        """The metric that decides where the recipe names none."""
        return self.names[0]


METRICS = {
    "translation": TextMetrics(("bleu", "chrf", "exact_match", "token_accuracy")),
    "summarization": TextMetrics(
        ("rougeL", "rougeLsum", "rouge1", "rouge2", "exact_match", "token_accuracy")
    ),
    "text-generation": TextMetrics(
        ("token_accuracy", "exact_match", "answer_accuracy", "rougeL", "rouge1", "rouge2")
    ),
    # Of scored pairs the default is spearman.
    EMBEDDING_TASK: TextMetrics(
        (
            "mrr_at_10",
            "ndcg_at_10",
            "recall_at_1",
            "recall_at_5",
            "recall_at_10",
            "hit_at_5",
            "spearman",
            "pearson",
        )
    ),
}


def default_precision(task: str) -> "PrecisionName":
    """What a bundle is made in where neither recipe nor flag says: w8 for what generates text, int8 for encoders."""
    return "w8" if task in GENERATION_TASKS else "int8"


def default_max_length(task: str) -> int:
    """Tokens of a text where the recipe names none; of text generation they are prompt and answer together."""
    return {"text-generation": 512, QUESTION_TASK: 384}.get(task, 128)


def default_stride(max_length: int) -> int:
    """Tokens that two windows of a long text share where the recipe says nothing: a third of a window."""
    return max_length // 3


def check_task_settings(recipe: "Recipe") -> None:
    """Raise RecipeError for an unknown task, and for a setting that was changed and that the task does not use."""
    if recipe.task not in TASKS:
        near = difflib.get_close_matches(recipe.task, TASKS, n=1)
        remedy = f"did you mean {near[0]}?" if near else f"there are {', '.join(TASKS)}"
        raise RecipeError(f"task {show(recipe.task)} is none that ftool trains; {remedy}")
    for name, value, default, tasks in _settings(recipe):
        if recipe.task not in tasks and value != default:
            raise RecipeError(
                f"{name} is for {_listed(tasks)}, and the task is {recipe.task}; "
                f"{_INSTEAD.get(name, 'leave it out')}"
            )
    if recipe.task in (QUESTION_TASK, TAGGING_TASK):
        _check_windows(recipe)
    if recipe.task == QUESTION_TASK:
        _check_questions(recipe)
    _check_pooling(recipe)
    _check_metric(recipe)
    if recipe.task not in (*GENERATION_TASKS, EMBEDDING_TASK):
        return
    if recipe.train.method == "head":
        raise RecipeError(
            f'train.method can\'t be "head" for {recipe.task}, which adds no head to the base; '
            'use "full" or "lora"'
        )
    longest, answer = recipe.train.max_length_for(recipe.task), recipe.train.max_target_length
    if recipe.task == "text-generation" and answer >= longest:
        raise RecipeError(
            f"train.max_target_length must be below train.max_length, which holds prompt and answer, got {answer} "
            f"and {longest}; raise train.max_length or lower train.max_target_length"
        )


def _check_metric(recipe: "Recipe") -> None:
    known = METRICS[recipe.task].names if recipe.task in METRICS else ()
    if recipe.train.metric is not None and known and recipe.train.metric not in known:
        raise RecipeError(
            f"train.metric must be one of {', '.join(known)} for {recipe.task}, got {recipe.train.metric!r}"
        )


def _check_pooling(recipe: "Recipe") -> None:
    wrong = "pooler" if recipe.task == EMBEDDING_TASK else "last"
    if recipe.train.pooling == wrong:
        raise RecipeError(f"train.pooling can't be {wrong} for {recipe.task}; use auto, mean or cls")


def _check_windows(recipe: "Recipe") -> None:
    settings, task = recipe.train, recipe.task
    if settings.method == "head":
        raise RecipeError(f'train.method can\'t be "head" for {task}; use "full" or "lora"')
    longest, stride = settings.max_length_for(task), settings.stride_for(task)
    if stride >= longest - 3:  # three special tokens beside question and context
        raise RecipeError(
            f"train.stride must be below train.max_length, got {stride} and {longest}; lower it"
        )


def _check_questions(recipe: "Recipe") -> None:
    settings, stride = recipe.train, recipe.train.stride_for(recipe.task)
    answer = settings.max_answer_length_for(recipe.task)
    if answer > stride + 1:
        raise RecipeError(
            f"train.max_answer_length must be at most train.stride + 1, or answers between two windows are lost, got "
            f"{answer} and {stride}; raise train.stride or lower train.max_answer_length"
        )


def _listed(tasks: tuple[str, ...]) -> str:
    *others, last = tasks
    return f"{', '.join(others)} and {last}" if others else last


def _settings(settings: Any, at: str = "") -> Iterator[tuple[str, Any, Any, tuple[str, ...]]]:
    """Path, value, default and tasks of every setting that is for some tasks alone."""
    for field in fields(settings):
        value = getattr(settings, field.name)
        if is_dataclass(value):
            yield from _settings(value, join(at, field.name))
        elif tasks := applies_to(type(settings), field.name):
            yield join(at, field.name), value, field.default, tasks
