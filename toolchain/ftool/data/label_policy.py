"""The one policy on labels: which labels a data set has, and whether a trained model knows them.

Data may lack labels that the model knows, and a line says which; a label that the model does not know is refused by
name. The model's own order decides the labels' numbers.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from ftool.data.cells import listed_rows
from ftool.data.dataset import DataError, E, Split
from ftool_runtime.errors import nearest

_SHOWN = 5  # labels in a line


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Facts of a trained model that decide how data is read for it.

    Attributes:
        labels: what it can answer, in the order of its outputs.
        multi_label: whether an input has any number of labels.
        regression: whether the answer is one number.
        pairs: whether an input is two texts.
    """

    labels: Sequence[str] = ()
    multi_label: bool = False
    regression: bool = False
    pairs: bool = False


def refuse_unknown(split: Split[E], known: Collection[str], why: str) -> None:
    """Raise DataError naming the rows of a label that is not `known`, and the known label nearest to it."""
    found = {one for example in split.examples for one in example.classes}
    for label in sorted(found - set(known)):
        rows = [example.row for example in split.examples if label in example.classes]
        near = nearest(label, known)
        hint = "" if near is None else f"did you mean {near!r}? Otherwise "
        raise DataError(
            f"{split.source}: {listed_rows(rows)} with the label {label!r}, which {why}; {hint}"
            "correct or remove, or add training examples"
        )


def labels_missing(splits: Iterable[Split[E]], known: Sequence[str], source: str) -> list[str]:
    """Return a line that names labels of the model which no example has, if there are any.

    Raises DataError, as `refuse_unknown`, for a label that the model does not know.
    """
    found: set[str] = set()
    for split in splits:
        refuse_unknown(split, known, "the model does not know")
        found.update(one for example in split.examples for one in example.classes)
    missing = [label for label in known if label not in found]
    if not missing:
        return []
    shown = ", ".join(map(repr, missing[:_SHOWN]))
    more = f" and {len(missing) - _SHOWN} more" if missing[_SHOWN:] else ""
    return [
        f"{source}: no example has {len(missing)} of the {len(known)} labels that the model knows: {shown}{more}"
    ]
