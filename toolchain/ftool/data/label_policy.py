"""Compare the labels of a data set with each other and with the labels that a trained model knows, for every task.

If the model knows labels that no example has, a warning lists them. If an example has a label that the model does not
know, an error names this label. Labels are always in the order of the model's outputs. Look-alikes are labels that
differ only in case, in spaces, underscores or hyphens, or in characters that can't be seen; a warning lists them, and
on request they are folded into one label.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ftool.data.cells import listed_rows
from ftool.data.dataset import E, Split
from ftool.errors import DataError
from ftool_runtime.errors import nearest

_SHOWN = 5  # labels that a warning lists at most
_FOLD = "--fold-labels (data.fold_labels = true)"
_GAPS = re.compile(r"(?<=[^\W_])[\s_\-\u2010-\u2015]+(?=[^\W_])|\s+")  # a sign, as in "-1" or "A-", is no gap


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Properties of a trained model that decide how data for this model is read.

    Attributes:
        labels: the labels that the model can predict, or the names of several numbers, in the order of the outputs.
        multi_label: whether an input can have any number of labels.
        regression: whether the model predicts numbers instead of labels.
        pairs: whether an input is a pair of texts; None if the data decides.
    """

    labels: Sequence[str] = ()
    multi_label: bool = False
    regression: bool = False
    pairs: bool | None = False


def refuse_unknown(split: Split[E], known: Collection[str], why: str) -> None:
    """Raise DataError if an example has a label outside `known`.

    The message names the label, the rows with this label, and the most similar label in `known`. `why` completes the
    clause "the label 'x', which ...".
    """
    found = {one for example in split.examples for one in example.classes}
    for label in sorted(found - set(known)):
        rows = [example.row for example in split.examples if label in example.classes]
        near = nearest(label, known)
        alike = next((one for one in sorted(known) if _folded(one) == _folded(label)), None)
        hint = "" if near is None else f"did you mean {near!r}? Otherwise "
        if alike is not None:
            hint = f"{_visible(alike)} looks like this label: fold both into one with {_FOLD}; otherwise "
            label = _visible(label)[1:-1]
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


def look_alikes(splits: Iterable[Split[E]], source: str) -> list[str]:
    """Return a list with one warning if some labels of the examples look alike; otherwise an empty list.

    The warning has the number of examples with each of these labels; `source` names the data in the warning.
    """
    groups = [
        " and ".join(f"{_visible(name)} ({count})" for name, count in group.items())
        for group in look_alike_groups(splits)
    ]
    if not groups:
        return []
    more = f"; and {len(groups) - _SHOWN} more" if groups[_SHOWN:] else ""
    return [
        f"{source}: labels that look alike are different labels: {'; '.join(groups[:_SHOWN])}{more}; correct them, "
        f"or fold them into one with {_FOLD}"
    ]


def look_alike_groups(splits: Iterable[Split[E]]) -> list[dict[str, int]]:
    """Return the groups of labels that look alike, each with the number of its examples, most frequent first."""
    counts = Counter(one for split in splits for example in split.examples for one in example.classes)
    return [
        {name: counts[name] for name in sorted(names, key=_rank(counts))}
        for names in _by_look(counts).values()
        if len(names) > 1
    ]


def fold_look_alikes(
    splits: Mapping[str, Split[E]], train: Split[E], known: Sequence[str] | None
) -> dict[str, Split[E]]:
    """Return the splits with look-alike labels folded into one.

    The label is the one that the model knows (`known`); without a model (None), the most frequent one of the training
    examples, or of the others if these do not have it.
    """
    trained = Counter(one for example in train.examples for one in example.classes)
    every = Counter(one for split in splits.values() for example in split.examples for one in example.classes)
    renamed = {}
    for key, names in _by_look(every).items():
        choices = names if known is None else [name for name in known if _folded(name) == key]
        if choices:
            chosen = min(choices, key=lambda name: (-trained[name], -every[name], name))
            renamed.update({name: chosen for name in names if name not in (known or ())})
    return {
        name: replace(split, examples=[one.with_classes_renamed(renamed) for one in split.examples])
        for name, split in splits.items()
    }


def _by_look(labels: Iterable[str]) -> dict[str, list[str]]:
    """Return the labels grouped by their look, in order."""
    groups: dict[str, list[str]] = defaultdict(list)
    for label in sorted(labels):
        groups[_folded(label)].append(label)
    return groups


def _rank(counts: Mapping[str, int]) -> Callable[[str], tuple[int, str]]:
    return lambda name: (-counts[name], name)


def _folded(label: str) -> str:
    """Return a label normalised for comparison: look-alikes have the same normalised label."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", label).casefold())
    text = "".join(
        character
        for character in text
        if unicodedata.category(character) not in ("Cf", "Cc") or character.isspace()
    )
    return _GAPS.sub(" ", text).strip() or label


def _visible(label: str) -> str:
    """Return a label in quotation marks; characters that look like others, or can't be seen, are shown as escapes."""
    plain = unicodedata.normalize("NFC", label) == label
    return repr(label) if plain and _GAPS.sub(" ", label).isprintable() else ascii(label)
