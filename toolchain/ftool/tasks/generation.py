"""The rows of summarization, translation and text generation."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from ftool.data.rows.pairs import PairReader
from ftool.data.rows.prompts import PromptReader
from ftool.recipe.errors import RecipeError
from ftool.recipe.sections import Sections
from ftool.tasks.base import Task

_CONTEXT: Final = 512  # tokens of prompt and answer together


def _pair_defaults(recipe: Sections) -> Mapping[str, Any]:
    return {"train.max_length": 128, "generation.max_new_tokens": recipe.train.max_target_length}


def _text_defaults(recipe: Sections) -> Mapping[str, Any]:
    return {**_pair_defaults(recipe), "train.max_length": _CONTEXT}


def _check_room(recipe: Sections) -> None:
    longest, answer = recipe.train.max_length, recipe.train.max_target_length
    if answer >= longest:
        raise RecipeError(
            f"train.max_target_length must be below train.max_length, which holds prompt and answer, got {answer} "
            f"and {longest}; raise train.max_length or lower train.max_target_length"
        )


_SHARED: Final = frozenset(
    {
        "data.source",
        "data.target",
        "train.max_target_length",
        "train.optimizer",
        "train.metric",
        "train.evaluation_examples",
        "train.gradient_checkpointing",
        "train.dropout",
        "train.tokenizer",
        "train.vocabulary_size",
        "generation",
    }
)

TRANSLATION = Task(
    name="translation",
    reader=PairReader,
    settings=_SHARED | {"data.target_file", "data.source_language", "data.target_language", "data.prefix"},
    defaults=_pair_defaults,
    instead={
        "data.text": "data.source is the column of the source texts",
        "data.label": "data.target is the column of the target texts",
    },
    methods=("full", "lora"),
    metrics=("bleu", "chrf", "exact_match", "token_accuracy"),
    precision="w8",
    scratch=("t5", "bart"),
    named_bases=False,
    writes=True,
    implementation="ftool.tasks.generation_work",
)

SUMMARIZATION = replace(
    TRANSLATION,
    name="summarization",
    metrics=("rougeL", "rougeLsum", "rouge1", "rouge2", "exact_match", "token_accuracy"),
)

TEXT_GENERATION = replace(
    TRANSLATION,
    name="text-generation",
    reader=PromptReader,
    settings=_SHARED | {"data.text", "data.messages"},
    defaults=_text_defaults,
    check=_check_room,
    metrics=("token_accuracy", "exact_match", "answer_accuracy", "rougeL", "rouge1", "rouge2"),
    scratch=("gpt2", "llama"),
)
