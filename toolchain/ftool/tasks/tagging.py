"""The row of token classification: entities in texts."""

from collections.abc import Mapping
from typing import Any

from ftool.data.rows.tags import TagReader
from ftool.recipe.sections import Sections, chosen
from ftool.tasks.base import Task, check_stride


def _defaults(recipe: Sections) -> Mapping[str, Any]:
    longest = chosen(recipe.train.max_length, 128)
    return {"train.max_length": longest, "train.stride": longest // 3}


TASK = Task(
    name="token-classification",
    reader=TagReader,
    settings=frozenset({"data.text", "data.label", "data.label_names", "train.stride"}),
    defaults=_defaults,
    check=check_stride,
    instead={
        "data.source": "data.text is the column of the texts",
        "data.target": "data.label is the column of the labels",
    },
    methods=("full", "lora"),
    implementation="ftool.tasks.tagging_work",
)
