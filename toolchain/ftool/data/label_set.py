"""The labels that a model is to know, and the numbers they get."""

from collections.abc import Mapping, Sequence

from ftool.data.examples import Examples, listed_rows
from ftool.data.types import DataError, Split


def label_set(splits: Mapping[str, Examples], named: Sequence[str] | None) -> tuple[str, ...]:
    """The labels of the training examples: in the order of `named`, or sorted, numbers by value.

    Raises DataError for fewer than two, and for a label of another split that no training example has.
    """
    train = splits["train"]
    trained = {label for labels in train.labels for label in labels}
    for examples in splits.values():
        refuse_unknown(examples, trained, f"no training example has ({train.source})")
    if len(trained) < 2:
        has = f"only one label, {next(iter(trained))!r}" if trained else "no label at all"
        raise DataError(f"{train.source}: the training examples have {has}; a classifier needs two or more")
    if named is not None:
        return tuple(name for name in named if name in trained)
    return tuple(sorted(trained, key=int if all(label.isdecimal() for label in trained) else None))


def refuse_unknown(examples: Examples, known: Sequence[str] | set[str], why: str) -> None:
    """Raise DataError naming the rows where an example has a label that is not known."""
    for label in sorted({label for labels in examples.labels for label in labels} - set(known)):
        rows = [row for row, labels in zip(examples.rows, examples.labels, strict=True) if label in labels]
        raise DataError(
            f"{examples.source}: {listed_rows(rows)} with the label {label!r}, which {why}; "
            "correct or remove, or add training examples"
        )


def numbered(examples: Examples, label_names: Sequence[str], *, multi_label: bool) -> Split:
    """The examples with numbers for their labels, the positions of the names in `label_names`."""
    number = {name: position for position, name in enumerate(label_names)}
    labels = [sorted(number[label] for label in labels) for labels in examples.labels]
    return Split(
        examples.texts,
        labels if multi_label else [one for (one,) in labels],
        examples.rows,
        examples.source,
        examples.table,
        examples.pairs,
    )
