"""What a model is timed on: the texts or conversations of a split of its own data."""

from ftool.bench.worker import Text
from ftool.data import Example, load_generation_data
from ftool.recipe import Recipe
from ftool.recipe.tasks import GENERATION_TASKS
from ftool.tasks import get_encoder_task

_BEGINNING = 16  # words of plain text, which has no question, for the model to go on from


def texts_to_time(recipe: Recipe, split: str) -> list[Text]:
    """The split as the model is asked it: texts, or conversations up to the answer. Raises DataError."""
    if recipe.task not in GENERATION_TASKS:
        return [*get_encoder_task(recipe.task).inputs(recipe, split)]
    return [
        _asked(example) for example in load_generation_data(recipe.data, recipe.task).split(split).examples
    ]


def _asked(example: Example) -> Text:
    if example.messages is not None:
        return [message.to_json() for message in example.messages]
    return example.source or " ".join(example.targets[0].split()[:_BEGINNING])
