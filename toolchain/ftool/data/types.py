"""What a labelled data set is once it is loaded."""

from dataclasses import dataclass, field
from typing import Any

from ftool.data.table import Table
from ftool_runtime.errors import FtoolError


class DataError(FtoolError):
    """Data can't be used; the message names the file, the row or column, and the remedy."""


@dataclass(frozen=True, slots=True)
class Split:
    """Examples in the order of their source, one entry an example in each list.

    Attributes:
        texts: the texts, as they stand in the source.
        labels: indices into the data set's label names: one an example, or where it can have several, a
            list an example, ascending and maybe empty. Where the answer is a number, these are the numbers.
        rows: where each example stands: the line at which it starts, a header being 1; where there are no
            lines, its position from 1.
        source: the file, or the data set and split, that the examples come from.
        table: the rows that the examples come from, one each, by whose cells metrics can be sliced.
        pairs: the second text of each example, where examples have two.
    """

    texts: list[str]
    labels: list[int] | list[list[int]] | list[float]
    rows: list[int]
    source: str
    table: Table = field(default_factory=Table)
    pairs: list[str] | None = None

    @property
    def inputs(self) -> list[Any]:
        """What a model is called with: the texts, or dicts of "text" and "text_pair"."""
        if self.pairs is None:
            return list(self.texts)
        both = zip(self.texts, self.pairs, strict=True)
        return [{"text": text, "text_pair": pair} for text, pair in both]

    @property
    def scores(self) -> list[float]:
        """The numbers, where the answer is one."""
        return [float(label) for label in self.labels if not isinstance(label, list)]

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def single_labels(self) -> list[int]:
        """The one label of each example. Raises DataError where examples have several."""
        if any(isinstance(label, list) for label in self.labels):
            raise DataError(f"{self.source}: examples have several labels each, where one is needed")
        return [label for label in self.labels if isinstance(label, int)]

    @property
    def label_sets(self) -> list[list[int]]:
        """The labels of each example as a list, whether there is one or several."""
        return [label if isinstance(label, list) else [int(label)] for label in self.labels]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassificationData:
    """A data set for text classification: three splits over one set of labels.

    Attributes:
        label_names: what the labels' indices mean.
        multi_label: whether an example has any number of labels rather than one.
        regression: whether the answer is one number; there are no label names then.
        sha256: of the training split in canonical form: texts, label names and their order.
        notes: what was done to get here (columns found, splits cut off), a line each.
        warnings: what a person should look at (the same text in two splits), a line each.
    """

    train: Split
    validation: Split
    test: Split
    label_names: tuple[str, ...]
    multi_label: bool
    sha256: str
    regression: bool = False
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def pairs(self) -> bool:
        """Whether an example has two texts."""
        return self.train.pairs is not None

    def split(self, name: str) -> Split:
        """The split called train, validation or test."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        if name not in splits:
            raise DataError(f"there is no split {name!r}; there are {', '.join(splits)}")
        return splits[name]
