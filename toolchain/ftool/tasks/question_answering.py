"""The row of question answering: the stretch of a context that answers a question, or no answer."""

from collections.abc import Mapping
from typing import Any, Final

from ftool.data.rows.questions import QuestionReader
from ftool.recipe.errors import RecipeError
from ftool.recipe.sections import Sections, chosen
from ftool.tasks.base import Task, check_stride

_WINDOW: Final = 384  # tokens of question and context together, as in the SQuAD scripts
_ANSWER: Final = 30  # tokens, as in the SQuAD scripts


def _defaults(recipe: Sections) -> Mapping[str, Any]:
    longest = chosen(recipe.train.max_length, _WINDOW)
    stride = chosen(recipe.train.stride, longest // 3)
    return {
        "train.max_length": longest,
        "train.stride": stride,
        "train.max_answer_length": min(_ANSWER, stride + 1),
    }


def _check(recipe: Sections) -> None:
    check_stride(recipe)
    answer, stride = recipe.train.max_answer_length, recipe.train.stride
    if answer > stride + 1:
        raise RecipeError(
            f"train.max_answer_length must be at most train.stride + 1, or answers between two windows are lost, got "
            f"{answer} and {stride}; raise train.stride or lower train.max_answer_length"
        )


TASK = Task(
    name="question-answering",
    reader=QuestionReader,
    settings=frozenset(
        {
            "data.question",
            "data.context",
            "data.answers",
            "data.answer_start",
            "train.stride",
            "train.max_answer_length",
        }
    ),
    defaults=_defaults,
    check=_check,
    methods=("full", "lora"),
    implementation="ftool.tasks.question_answering_work",
)
