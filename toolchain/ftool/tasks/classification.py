"""The row of text classification: labels, several labels, or one number for a text or a pair of texts."""

from ftool.data.rows.labels import LabelReader
from ftool.recipe.errors import RecipeError
from ftool.recipe.sections import Sections
from ftool.tasks.base import Task


def _check(recipe: Sections) -> None:
    if recipe.train.pooling == "last":
        raise RecipeError(f"train.pooling can't be last for {recipe.task}; use auto, mean, cls or pooler")


TASK = Task(
    name="text-classification",
    reader=LabelReader,
    settings=frozenset(
        {
            "data.text",
            "data.text_pair",
            "data.label",
            "data.label_names",
            "data.label_separator",
            "data.multi_label",
            "data.regression",
            "train.pooling",
            "train.head_learning_rate",
            "train.class_weights",
            "train.thresholds",
        }
    ),
    defaults=lambda _: {"train.max_length": 128},
    check=_check,
    instead={
        "data.source": "data.text is the column of the texts",
        "data.target": "data.label is the column of the labels",
    },
    methods=("full", "lora", "head"),
    implementation="ftool.tasks.classification_work",
)
