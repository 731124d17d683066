"""The settings of a recipe's data: where the examples come from, and how a row of them is read."""

from dataclasses import dataclass
from typing import Annotated

from ftool.recipe.schema import require
from ftool.recipe.tasks import EMBEDDING_TASK, GENERATION_TASKS, PAIR_TASKS, QUESTION_TASK, TAGGING_TASK

_CLASSIFY = "text-classification"
_CHAT = "text-generation"


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Where the examples come from and how a row of them is read."""

    path: Annotated[str, "a file, a folder of train and test files, a hub id, or builtin:NAME"]
    validation: Annotated[str | None, "a file of its own; else found, or cut off the training data"] = None
    test: Annotated[str | None, "a file of its own; else found, or cut off the training data"] = None
    text: Annotated[
        str | None,
        "the column of the texts, or of their words; found by its usual name",
        _CLASSIFY,
        TAGGING_TASK,
        _CHAT,
    ] = None
    text_pair: Annotated[
        str | None, "the column of second texts; found where two columns are named for it", _CLASSIFY
    ] = None
    label: Annotated[
        str | None,
        "the column of the labels, tags or entities; found by its usual name",
        _CLASSIFY,
        TAGGING_TASK,
    ] = None
    source: Annotated[
        str | None, "the column of what goes in; found by its usual name", *GENERATION_TASKS
    ] = None
    target: Annotated[
        str | None, "the column of what should come out; found by its usual name", *GENERATION_TASKS
    ] = None
    target_file: Annotated[
        str | None, "the targets, line by line beside the sources in `path`", *PAIR_TASKS
    ] = None
    question: Annotated[str | None, "the column of the questions; found by its usual name", QUESTION_TASK] = (
        None
    )
    context: Annotated[str | None, "the column of the contexts; found by its usual name", QUESTION_TASK] = (
        None
    )
    answers: Annotated[str | None, "the column of the answers; found by its usual name", QUESTION_TASK] = None
    answer_start: Annotated[
        str | None,
        "the column of the answers' first characters, from 0; found by its usual name",
        QUESTION_TASK,
    ] = None
    anchor: Annotated[
        str | None, "the column of queries or first sentences; found by its usual name", EMBEDDING_TASK
    ] = None
    positive: Annotated[
        str | None, "the column of passages or second sentences; found by its usual name", EMBEDDING_TASK
    ] = None
    negative: Annotated[
        str | None, "the column of what should not be found; found by its usual name", EMBEDDING_TASK
    ] = None
    score: Annotated[
        str | None, "the column of how alike two sentences are; found by its usual name", EMBEDDING_TASK
    ] = None
    query_prompt: Annotated[str | None, "goes before every query; the base's own", EMBEDDING_TASK] = None
    passage_prompt: Annotated[str | None, "goes before every passage; the base's own", EMBEDDING_TASK] = None
    messages: Annotated[str | None, "the column of the conversations; found by its usual name", _CHAT] = None
    source_language: Annotated[str | None, "its code, as the base model writes it", *PAIR_TASKS] = None
    target_language: Annotated[str | None, "its code, as the base model writes it", *PAIR_TASKS] = None
    prefix: Annotated[str | None, "goes before every source; as the base model wants it", *PAIR_TASKS] = None
    columns: Annotated[tuple[str, ...] | None, "the columns' names, for files without a header"] = None
    label_names: Annotated[
        str | None, "a file of names, one a line, where labels are numbers", _CLASSIFY, TAGGING_TASK
    ] = None
    label_separator: Annotated[
        str | None, "stands between the labels of one cell, such as a comma", _CLASSIFY
    ] = None
    multi_label: Annotated[
        bool | None, "whether a text has several labels; seen from the data", _CLASSIFY
    ] = None
    regression: Annotated[
        bool | None, "whether the answer is one number, not a label; seen from the data", _CLASSIFY
    ] = None
    validation_fraction: Annotated[float, "share of the training data, where validation is cut off"] = 0.1
    test_fraction: Annotated[float, "share of the training data, where the test is cut off"] = 0.1
    seed: Annotated[int, "which rows are cut off"] = 13

    def __post_init__(self) -> None:
        require(self.path.strip() != "", "data.path", "a file, folder, hub id, or builtin:NAME", self.path)
        for name in ("validation_fraction", "test_fraction"):
            require(0 < getattr(self, name) < 0.5, f"data.{name}", "above 0, below 0.5", getattr(self, name))
        if self.columns is not None:
            distinct = len(set(self.columns)) == len(self.columns) > 0
            require(distinct, "data.columns", "names that differ", list(self.columns))
        for name in ("label_separator", "target_file", "source_language", "target_language"):
            require(getattr(self, name) != "", f"data.{name}", "a character or more", "")
