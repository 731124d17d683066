"""The base class of row readers. A row reader reads one kind of example from the tables of a data set."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from ftool.data.columns import Column, optional_column
from ftool.data.dataset import E, Split
from ftool.data.label_policy import ModelFacts
from ftool.data.table import Table
from ftool.recipe.data_settings import DataSettings

T = TypeVar("T")


class RowReader(ABC, Generic[E]):
    """Reads the rows of one data set as examples of one kind.

    A reader makes decisions that must be the same for all tables of the data set: which tagging scheme the tags have,
    in which direction to translate, whether a text can have several labels.

    Attributes:
        labelled: whether examples have labels; if so, the data's fingerprint includes the label names.
        answers: the columns that hold the answers which a model learns, each with the setting that can name the column.
        empty_is_answer: whether an empty cell is an answer too, such as that a question has none.
        kept_together: a phrase for the notes about splits that were cut off, which says how the examples were divided,
            such as "each context on one side".
        tables: the tables that `read` gets, by split: those of the source, or what a subclass made of them.
        warnings: one line for each problem that a person should check; lines are added as tables are read.
    """

    labelled: ClassVar[bool] = False
    answers: ClassVar[Sequence[tuple[Column, str]]] = ()
    empty_is_answer: ClassVar[bool] = False
    kept_together: str = "each text on one side"

    def __init__(
        self, tables: Mapping[str, Table], settings: DataSettings, model: ModelFacts | None = None
    ) -> None:
        """Prepare to read `tables`, which maps split names to tables with at least one row.

        `model` describes the trained model for which the data is read; None if no model has been trained yet. Raises
        DataError if the tables' columns do not fit the settings or the model.
        """
        self.tables = tables
        self.settings = settings
        self.model = model
        self.warnings: list[str] = []

    @classmethod
    def answer_columns(cls, table: Table, settings: DataSettings) -> tuple[str, ...]:
        """Return the names of the table's columns of answers; empty if it has none.

        Raises DataError if the settings name a column that the table lacks.
        """
        found = (optional_column(table, column, getattr(settings, name)) for column, name in cls.answers)
        return tuple(dict.fromkeys(name for name in found if name is not None))

    def input_columns(self) -> Mapping[str, str]:
        """Return the column of the training table for each field of a model's input; empty if a reader can't say."""
        return {}

    @property
    def first(self) -> Table:
        """The training table, or the first table if there is no training table."""
        return first_of(self.tables)

    @abstractmethod
    def read(self, table: Table) -> Split[E]:
        """Return the examples of one table. Raises DataError, which names any row or column that can't be used."""

    @abstractmethod
    def note(self) -> str:
        """Return a line that names the columns of the training table that are read, and what these columns hold."""

    def finish(self, splits: dict[str, Split[E]]) -> dict[str, Split[E]]:
        """Return the final splits. This method is called once, when all tables have been read.

        Raises DataError if the splits are inconsistent with each other.
        """
        return splits

    def labels(self, splits: Mapping[str, Split[E]]) -> tuple[str, ...]:  # noqa: ARG002 (of readers with labels)
        """Return the labels that a model learns from these splits; empty if examples have no labels.

        Raises DataError if there are too few labels, or if another split has a label that no training example has.
        """
        return ()

    def known_classes(self, labels: Sequence[str]) -> Sequence[str]:
        """Return the values of `Example.classes` that occur in the training data of a model with these labels.

        They are the labels themselves, except for taggers: from the labels B-PER and I-PER follows the class PER.
        """
        return labels

    def set_aside(self, split: Split[E]) -> Split[E]:
        """Return the split with the examples that none of the labels fits in `Split.outside`."""
        return split

    def groups(self, examples: Sequence[E]) -> list[str]:
        """Return the group of each training example; examples with the same group always go to the same split."""
        return [example.group for example in examples]

    def facts(self, train: Split[E]) -> Mapping[str, Any]:  # noqa: ARG002 (of readers with facts)
        """Return the properties of the data set for `Dataset.facts`.

        Raises DataError if a model can't learn anything from the training split.
        """
        return {}


def first_of(by_split: Mapping[str, T]) -> T:
    """Return the value for the split "train", or the first value if there is no such split."""
    return by_split["train"] if "train" in by_split else next(iter(by_split.values()))
