"""Data sets: examples of one kind, in splits, with their labels and a fingerprint."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from ftool.data.table import Table
from ftool_runtime.errors import FtoolError


class DataError(FtoolError):
    """Data can't be used; the message names the file, the row or column, and the remedy."""


@dataclass(frozen=True, slots=True)
class Example(ABC):
    """One example of a data set.

    Attributes:
        row: the line at which it starts in its source, a header being line 1; if the source has no lines, its
            position from 1.
    """

    row: int = field(default=0, kw_only=True)

    @property
    @abstractmethod
    def input(self) -> Any:
        """The JSON value that a model is called with."""

    @property
    @abstractmethod
    def key(self) -> str:
        """The text by which duplicates are found."""

    @property
    def group(self) -> str:
        """The text whose examples stay on one side when a split is cut off."""
        return self.key

    @property
    def classes(self) -> tuple[str, ...]:
        """The names by which a cut is stratified, and which a model must know; none for most kinds."""
        return ()

    @property
    @abstractmethod
    def content(self) -> list[Any]:
        """All that a model learns from, as JSON values: what the fingerprint is made of."""


E = TypeVar("E", bound=Example)


@dataclass(frozen=True, slots=True)
class Split(Generic[E]):
    """Examples in the order of their source.

    Attributes:
        source: the file, or the data set and split, that the examples come from.
        table: the rows that the examples come from, one each, by whose cells metrics can be sliced.
    """

    examples: Sequence[E]
    source: str
    table: Table = field(default_factory=Table)

    @property
    def inputs(self) -> list[Any]:
        """The values that a model is called with, one for each example."""
        return [example.input for example in self.examples]

    def take(self, positions: Sequence[int]) -> "Split[E]":
        """Return the examples at `positions`, in that order."""
        examples = [self.examples[position] for position in positions]
        return Split(examples, self.source, self.table.take(positions))

    def __len__(self) -> int:
        return len(self.examples)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset(Generic[E]):
    """A data set.

    Attributes:
        splits: by name: train, validation and test, then any further ones.
        labels: the names that a model learns, in the order of its outputs; none if examples have no labels.
        facts: what is true of all examples of this kind, as JSON values, such as `multi_label` or `scheme`.
        sha256: the fingerprint of the training split.
        notes: what was done to get here (columns found, splits cut off), one line each.
        warnings: what a person should look at (the same text in two splits), one line each.
    """

    splits: Mapping[str, Split[E]]
    labels: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    sha256: str
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def train(self) -> Split[E]:
        """The training split."""
        return self.splits["train"]

    @property
    def validation(self) -> Split[E]:
        """The split that chooses between models."""
        return self.splits["validation"]

    @property
    def test(self) -> Split[E]:
        """The split that a finished model is measured on."""
        return self.splits["test"]

    def split(self, name: str) -> Split[E]:
        """Return a split by its name. Raises DataError if there is none of that name."""
        if name not in self.splits:
            raise DataError(f"there is no split {name!r}; there are {', '.join(self.splits)}")
        return self.splits[name]


def fingerprint(examples: Iterable[Example], labels: Sequence[str] | None = None) -> str:
    """Return the sha256, in hexadecimal, of the labels, if any, and then of each example's content, as lines of JSON.

    The file's format, its name and other columns do not count.
    """
    digest = hashlib.sha256()
    header = [] if labels is None else [list(labels)]
    for line in (*header, *(example.content for example in examples)):
        digest.update(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
    return digest.hexdigest()
