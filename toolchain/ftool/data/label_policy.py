"""Compare the labels of a data set with the labels that a trained model knows, by the same rules for every task.

If the model knows labels that no example has, a warning lists them. If an example has a label that the model does not
know, an error names this label. Labels are always in the order of the model's outputs.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from ftool.data.cells import listed_rows
from ftool.data.dataset import E, Split
from ftool.errors import DataError
from ftool_runtime.errors import nearest

_SHOWN = 5  # labels that a warning lists at most


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Properties of a trained model that decide how data for this model is read.

    Attributes:
        labels: the labels that the model can predict, in the order of the model's outputs.
        multi_label: whether an input can have any number of labels.
        regression: whether the model predicts a number instead of labels.
        pairs: whether an input is a pair of texts.
    """

    labels: Sequence[str] = ()
    multi_label: bool = False
    regression: bool = False
    pairs: bool = False


def refuse_unknown(split: Split[E], known: Collection[str], why: str) -> None:
    """Raise DataError if an example has a label outside `known`.

    The message names the label, the rows with this label, and the most similar label in `known`. `why` completes the
    clause "the label 'x', which ...".
    """
    found = {one for example in split.examples for one in example.classes}
    for label in sorted(found - set(known)):
        rows = [example.row for example in split.examples if label in example.classes]
        near = nearest(label, known)
        hint = "" if near is None else f"did you mean {near!r}? Otherwise "
        raise DataError(
            f"{split.source}: {listed_rows(rows)} with the label {label!r}, which {why}; {hint}"
            "correct or remove them, or add training examples"
        )


def labels_missing(splits: Iterable[Split[E]], known: Sequence[str], source: str) -> list[str]:
    """Return a list with one warning if some labels in `known` occur in no example; otherwise an empty list.

    The warning names these labels; `source` names the data in the warning. Raises DataError if an example has a label
    outside `known`.
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
