"""The [data] table of a recipe: where the examples come from and how rows are read."""

from dataclasses import dataclass
from typing import Annotated

from ftool.recipe.schema import SOME_TASKS, require, require_sizes


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Settings that say where the examples come from and how rows are read.

    Raises RecipeError if a setting has a value that is not allowed.
    """

    path: Annotated[str, "a file, a folder of train and test files, a hub id, or builtin:NAME"]
    validation: Annotated[
        str | None, "a separate file; otherwise found in path, or split off the training data"
    ] = None
    test: Annotated[
        str | None, "a separate file; otherwise found in path, or split off the training data"
    ] = None
    text: Annotated[
        str | None,
        "the column of the texts, or of their words; found by its usual name",
        SOME_TASKS,
    ] = None
    text_pair: Annotated[
        str | None, "the column of second texts; found if two columns have its usual names", SOME_TASKS
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
        str | None, "the targets, one per line, in the order of the sources in `path`", SOME_TASKS
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
    query_prompt: Annotated[
        str | None, "text before every query; by default the base model's", SOME_TASKS
    ] = None
    passage_prompt: Annotated[
        str | None, "text before every passage; by default the base model's", SOME_TASKS
    ] = None
    messages: Annotated[
        str | None, "the column of the conversations; found by its usual name", SOME_TASKS
    ] = None
    source_language: Annotated[
        str | None, "code of the source language, as in the base model", SOME_TASKS
    ] = None
    target_language: Annotated[
        str | None, "code of the target language, as in the base model", SOME_TASKS
    ] = None
    prefix: Annotated[str | None, "text before every source; by default the base model's", SOME_TASKS] = None
    columns: Annotated[tuple[str, ...] | None, "the names of the columns, for files without a header"] = None
    label_names: Annotated[
        str | None, "a file of label names, one per line, if labels are numbers", SOME_TASKS
    ] = None
    label_separator: Annotated[
        str | None, "separator between several labels in one cell, such as a comma", SOME_TASKS
    ] = None
    multi_label: Annotated[
        bool | None, "whether a text has several labels; found from the data", SOME_TASKS
    ] = None
    none_label: Annotated[
        str | None,
        "the label in the data of texts that none of the labels fits, such as oos: they fit a threshold",
        SOME_TASKS,
    ] = None
    fold_labels: Annotated[
        bool, "whether labels that differ only in case, spaces or invisible characters are one", SOME_TASKS
    ] = False
    skip_incomplete: Annotated[
        bool, "whether rows without a text or a label are left out, with a warning, or refused", SOME_TASKS
    ] = False
    regression: Annotated[
        bool | None, "whether the answer is a number, not a label; found from the data", SOME_TASKS
    ] = None
    validation_fraction: Annotated[
        float, "share of the training data to split off, if there is no validation data"
    ] = 0.1
    test_fraction: Annotated[float, "share of the training data to split off, if there is no test data"] = 0.1
    seed: Annotated[int, "decides which rows are split off"] = 13

    def __post_init__(self) -> None:
        require_sizes(self, "data")
        require(self.path.strip() != "", "data.path", "a file, folder, hub id, or builtin:NAME", self.path)
        for name in ("validation_fraction", "test_fraction"):
            require(0 < getattr(self, name) < 0.5, f"data.{name}", "above 0, below 0.5", getattr(self, name))
        if self.columns is not None:
            distinct = len(set(self.columns)) == len(self.columns) > 0
            require(distinct, "data.columns", "different names", list(self.columns))
        for name in ("label_separator", "target_file", "source_language", "target_language"):
            require(getattr(self, name) != "", f"data.{name}", "at least one character", "")
