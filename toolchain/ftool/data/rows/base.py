"""The base of row readers: one kind of example, read from the tables of a data set."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from ftool.data.dataset import E, Split
from ftool.data.label_policy import ModelFacts
from ftool.data.table import Table
from ftool.recipe.data_settings import DataSettings

T = TypeVar("T")


class RowReader(ABC, Generic[E]):
    """Reads the rows of one data set as examples of one kind.

    What holds for all tables of the data set is decided once, when the reader is made: the scheme of tags, the
    direction of a translation, whether a text has several labels.

    Attributes:
        labelled: whether a model learns names of labels, with which the data's fingerprint then begins.
        kept_together: what a cut keeps on one side, for notes.
        warnings: what a person should look at, a line each; grows as tables are read.
    """

    labelled: ClassVar[bool] = False
    kept_together: str = "each text on one side"

    def __init__(
        self, tables: Mapping[str, Table], settings: DataSettings, model: ModelFacts | None = None
    ) -> None:
        """Prepare for `tables`, by split, none of them empty.

        `model` is given if the data is for a model that is trained already. Raises DataError.
        """
        self.tables = tables
        self.settings = settings
        self.model = model
        self.warnings: list[str] = []

    @property
    def first(self) -> Table:
        """The training table, or the only one."""
        return first_of(self.tables)

    @abstractmethod
    def read(self, table: Table) -> Split[E]:
        """Return the examples of one of the tables. Raises DataError naming rows and columns."""

    @abstractmethod
    def note(self) -> str:
        """Return which columns of the training table were read, as what."""

    def finish(self, splits: dict[str, Split[E]]) -> dict[str, Split[E]]:
        """Return the splits as they are used, all tables being read. Raises DataError if they do not fit together."""
        return splits

    def labels(self, splits: Mapping[str, Split[E]]) -> tuple[str, ...]:  # noqa: ARG002 (of readers with labels)
        """Return the labels that a model learns from these splits. Raises DataError for labels that don't serve."""
        return ()

    def known_classes(self, labels: Sequence[str]) -> Sequence[str]:
        """Return the names among `Example.classes` that a model with these labels knows."""
        return labels

    def groups(self, examples: Sequence[E]) -> list[str]:
        """Return for each training example the text whose examples stay on one side of a cut."""
        return [example.group for example in examples]

    def facts(self, train: Split[E]) -> Mapping[str, Any]:  # noqa: ARG002 (of readers with facts)
        """Return `Dataset.facts`. Raises DataError if nothing can be learnt from the training split."""
        return {}


def first_of(by_split: Mapping[str, T]) -> T:
    """Return the value for the training split, or the first if there is none."""
    return by_split["train"] if "train" in by_split else next(iter(by_split.values()))
