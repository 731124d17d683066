"""The policy on labels, for every task: compare the labels of data with the labels that a model knows.

Data may lack labels that the model knows: a warning lists them. A label that the model does not know is an error,
which names the label. The order of labels is always the model's own.
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
    """Properties of a trained model that decide how data is read for it.

    Attributes:
        labels: the labels that the model can answer, in the order of its outputs.
        multi_label: whether an input can have any number of labels.
        regression: whether the model answers with one number.
        pairs: whether an input is a pair of texts.
    """

    labels: Sequence[str] = ()
    multi_label: bool = False
    regression: bool = False
    pairs: bool = False


def refuse_unknown(split: Split[E], known: Collection[str], why: str) -> None:
    """Raise DataError if an example has a label outside `known`.

    The message names the label, its rows, the most similar known label, and `why` as in "the label 'x', which WHY".
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
    """Return one warning that lists the `known` labels that no example has; an empty list if there are none.

    `source` names the data in the warning. Raises DataError if an example has a label outside `known`.
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
