"""Classes for examples, splits and data sets, and the fingerprint of a data set."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Self, TypeVar

from ftool.data.table import Table
from ftool.errors import DataError


@dataclass(frozen=True, slots=True)
class Example(ABC):
    """One example of a data set.

    Attributes:
        row: the line of the source file where the example starts (a header is line 1); for a source without lines, such
            as a hub data set, the example's position, counted from 1.
    """

    row: int = field(default=0, kw_only=True)

    @property
    @abstractmethod
    def input(self) -> Any:
        """The input of the example as a JSON value, which can be passed to a model."""

    @property
    def named_texts(self) -> Mapping[str, str]:
        """The texts of the example by name, those of the answer included if the answer is a text."""
        given = self.input
        return {"text": given} if isinstance(given, str) else dict(given)

    @property
    def whole_input(self) -> str:
        """The text of the whole input: two examples with the same whole input are repeats."""
        return "\n".join(self.named_texts.values())

    @property
    def separate_texts(self) -> Sequence[str]:
        """The texts that a model reads separately, each of which must fit into the longest input."""
        return [self.whole_input]

    @property
    @abstractmethod
    def key(self) -> str:
        """The text that identifies duplicates: two examples with the same key are duplicates."""

    @property
    def group(self) -> str:
        """The text that identifies a group: examples with the same group all go to the same split."""
        return self.key

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes that the example has; empty if examples of this kind have no classes.

        Splits are stratified by these classes, and a model must know all of them.
        """
        return ()

    @property
    def numbers(self) -> tuple[float, ...]:
        """The numbers that a model learns to give for the example; empty if the model does not learn numbers."""
        return ()

    def with_classes_renamed(self, names: Mapping[str, str]) -> Self:  # noqa: ARG002 (of examples with classes)
        """Return the example with each class called `names[class]`; a class that is not in `names` keeps its name."""
        return self

    @property
    @abstractmethod
    def content(self) -> list[Any]:
        """Everything that a model learns from the example, as JSON values, from which `fingerprint` is computed."""


E = TypeVar("E", bound=Example)


@dataclass(frozen=True, slots=True)
class Split(Generic[E]):
    """One split of a data set: its examples in the order of their source.

    Attributes:
        source: the name of the file, or of the data set and split, from which the examples come.
        table: the table row of each example, in the order of the examples; metrics can be reported separately for each
            value of a column of this table.
        outside: examples that none of the data set's labels fits. No model learns from them; they decide below which
            probability a classifier answers "none of these".
    """

    examples: Sequence[E]
    source: str
    table: Table = field(default_factory=Table)
    outside: Sequence[E] = ()

    @property
    def inputs(self) -> list[Any]:
        """The input of each example as a JSON value, in the order of the examples."""
        return [example.input for example in self.examples]

    def take(self, positions: Sequence[int]) -> "Split[E]":
        """Return a split of the examples at `positions` (counted from 0), in the order of `positions`."""
        examples = [self.examples[position] for position in positions]
        return Split(examples, self.source, self.table.take(positions), self.outside)

    def __len__(self) -> int:
        return len(self.examples)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset(Generic[E]):
    """A data set with all its splits.

    Attributes:
        splits: a dict from name to split: train, validation and test, then any other splits of the data.
        labels: the label names that a model learns, in the order of the model's outputs; empty if examples have no
            labels.
        facts: properties of the whole data set, as JSON values, such as `multi_label` or `scheme`.
        sha256: the fingerprint of the training split.
        notes: one line for each decision made while reading, such as which columns hold the texts, or which split was
            cut off the training data.
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
    """Return the SHA-256, in hexadecimal, of the labels (if given) and the content of each example, as lines of JSON.

    The names and formats of files, and columns that are not used, have no effect on the fingerprint.
    """
    digest = hashlib.sha256()
    header = [] if labels is None else [list(labels)]
    for line in (*header, *(example.content for example in examples)):
        digest.update(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
    return digest.hexdigest()
