"""The [data] table of a recipe: where the examples come from, and how a row of them is read."""

from dataclasses import dataclass
from typing import Annotated

from ftool.recipe.errors import SOME_TASKS, require


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Where the examples come from and how a row of them is read."""

    path: Annotated[str, "a file, a folder of train and test files, a hub id, or builtin:NAME"]
    validation: Annotated[str | None, "a file of its own; else found, or cut off the training data"] = None
    test: Annotated[str | None, "a file of its own; else found, or cut off the training data"] = None
    text: Annotated[
        str | None,
        "the column of the texts, or of their words; found by its usual name",
        SOME_TASKS,
    ] = None
    text_pair: Annotated[
        str | None, "the column of second texts; found if two columns are named for it", SOME_TASKS
    ] = None
    label: Annotated[
        str | None,
        "the column of the labels, tags or entities; found by its usual name",
        SOME_TASKS,
    ] = None
    source: Annotated[str | None, "the column of the source texts; found by its usual name", SOME_TASKS] = (
        None
    )
    target: Annotated[str | None, "the column of the target texts; found by its usual name", SOME_TASKS] = (
        None
    )
    target_file: Annotated[
        str | None, "the targets, line by line beside the sources in `path`", SOME_TASKS
    ] = None
    question: Annotated[str | None, "the column of the questions; found by its usual name", SOME_TASKS] = None
    context: Annotated[str | None, "the column of the contexts; found by its usual name", SOME_TASKS] = None
    answers: Annotated[str | None, "the column of the answers; found by its usual name", SOME_TASKS] = None
    answer_start: Annotated[
        str | None,
        "the column of the answers' first characters, from 0; found by its usual name",
        SOME_TASKS,
    ] = None
    anchor: Annotated[
        str | None, "the column of queries or first sentences; found by its usual name", SOME_TASKS
    ] = None
    positive: Annotated[
        str | None, "the column of passages or second sentences; found by its usual name", SOME_TASKS
    ] = None
    negative: Annotated[
        str | None, "the column of texts that should not be found; found by its usual name", SOME_TASKS
    ] = None
    score: Annotated[str | None, "the column of similarity scores; found by its usual name", SOME_TASKS] = (
        None
    )
    query_prompt: Annotated[str | None, "goes before every query; the base's own", SOME_TASKS] = None
    passage_prompt: Annotated[str | None, "goes before every passage; the base's own", SOME_TASKS] = None
    messages: Annotated[
        str | None, "the column of the conversations; found by its usual name", SOME_TASKS
    ] = None
    source_language: Annotated[str | None, "its code, as the base model writes it", SOME_TASKS] = None
    target_language: Annotated[str | None, "its code, as the base model writes it", SOME_TASKS] = None
    prefix: Annotated[str | None, "goes before every source; the base model's own", SOME_TASKS] = None
    columns: Annotated[tuple[str, ...] | None, "the columns' names, for files without a header"] = None
    label_names: Annotated[str | None, "a file of names, one a line, if labels are numbers", SOME_TASKS] = (
        None
    )
    label_separator: Annotated[
        str | None, "separates the labels of one cell, such as a comma", SOME_TASKS
    ] = None
    multi_label: Annotated[
        bool | None, "whether a text has several labels; seen from the data", SOME_TASKS
    ] = None
    regression: Annotated[
        bool | None, "whether the answer is one number, not a label; seen from the data", SOME_TASKS
    ] = None
    validation_fraction: Annotated[float, "share of the training data, if validation is cut off it"] = 0.1
    test_fraction: Annotated[float, "share of the training data, if the test is cut off it"] = 0.1
    seed: Annotated[int, "decides which rows are cut off"] = 13

    def __post_init__(self) -> None:
        require(self.path.strip() != "", "data.path", "a file, folder, hub id, or builtin:NAME", self.path)
        for name in ("validation_fraction", "test_fraction"):
            require(0 < getattr(self, name) < 0.5, f"data.{name}", "above 0, below 0.5", getattr(self, name))
        if self.columns is not None:
            distinct = len(set(self.columns)) == len(self.columns) > 0
            require(distinct, "data.columns", "names that differ", list(self.columns))
        for name in ("label_separator", "target_file", "source_language", "target_language"):
            require(getattr(self, name) != "", f"data.{name}", "a character or more", "")
