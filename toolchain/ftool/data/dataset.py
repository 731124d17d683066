"""Classes for examples, splits and data sets, and the fingerprint of a data set."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from ftool.data.table import Table
from ftool.errors import DataError


@dataclass(frozen=True, slots=True)
class Example(ABC):
    """One example of a data set.

    Attributes:
        row: the line of the source file where the example starts (a header is line 1); for sources without lines,
            the example's position, from 1.
    """

    row: int = field(default=0, kw_only=True)

    @property
    @abstractmethod
    def input(self) -> Any:
        """The JSON value that a model is called with."""

    @property
    @abstractmethod
    def key(self) -> str:
        """The text that identifies duplicates: examples with the same key are duplicates."""

    @property
    def group(self) -> str:
        """The text that identifies a group: examples with the same group all go to the same split."""
        return self.key

    @property
    def classes(self) -> tuple[str, ...]:
        """The example's class names, by which splits are stratified and which a model must know; often empty."""
        return ()

    @property
    @abstractmethod
    def content(self) -> list[Any]:
        """Everything a model learns from the example, as JSON values; the data's fingerprint is computed from these."""


E = TypeVar("E", bound=Example)


@dataclass(frozen=True, slots=True)
class Split(Generic[E]):
    """One split of a data set: its examples in the order of their source.

    Attributes:
        source: the file, or the data set and split, that the examples come from.
        table: one row for each example, the row that it was read from; metrics can be sliced by its columns.
    """

    examples: Sequence[E]
    source: str
    table: Table = field(default_factory=Table)

    @property
    def inputs(self) -> list[Any]:
        """The examples' inputs, as JSON values that a model can be called with, in order."""
        return [example.input for example in self.examples]

    def take(self, positions: Sequence[int]) -> "Split[E]":
        """Return a split of the examples at `positions` (from 0), in that order."""
        examples = [self.examples[position] for position in positions]
        return Split(examples, self.source, self.table.take(positions))

    def __len__(self) -> int:
        return len(self.examples)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset(Generic[E]):
    """A data set with all its splits.

    Attributes:
        splits: the splits by name: train, validation and test, then any others.
        labels: the label names that a model learns, in the order of its outputs; empty if examples have no labels.
        facts: properties of the whole data set, as JSON values, such as `multi_label` or `scheme`.
        sha256: the fingerprint of the training split.
        notes: one line for each decision made while reading, such as which columns were used and which splits cut off.
        warnings: one line for each problem that a person should check, such as a text that is in two splits.
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
        """The validation split, used to choose between models."""
        return self.splits["validation"]

    @property
    def test(self) -> Split[E]:
        """The test split, used to measure a finished model."""
        return self.splits["test"]

    def split(self, name: str) -> Split[E]:
        """Return the split with this name. Raises DataError if the data set has no such split."""
        if name not in self.splits:
            raise DataError(f"there is no split {name!r}; there are {', '.join(self.splits)}")
        return self.splits[name]


def fingerprint(examples: Iterable[Example], labels: Sequence[str] | None = None) -> str:
    """Return the sha256 (hexadecimal) of the labels, if given, and each example's content, written as lines of JSON.

    The fingerprint does not depend on the file's name, its format or its unused columns.
    """
    digest = hashlib.sha256()
    header = [] if labels is None else [list(labels)]
    for line in (*header, *(example.content for example in examples)):
        digest.update(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
    return digest.hexdigest()
