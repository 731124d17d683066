"""Recognise words that programs write for a missing label or text, such as `nan` of `DataFrame.astype(str)`."""

from collections import Counter
from collections.abc import Iterable, Mapping

from ftool.data.cells import listed_rows
from ftool.data.dataset import E, Split
from ftool.data.table import Cell

_WORDS = frozenset(
    {"nan", "NaN", "NAN", "<NA>", "NULL", "NaT", "#N/A", "\\N"}
)  # pandas, SQL and Excel write these
_AMBIGUOUS = frozenset({"None", "N/A", "n/a", "NA", "null"})  # a label may be called so


def missing_labels(cells: Iterable[Cell], known: Iterable[str]) -> frozenset[str]:
    """Return the words among the cells of a label column that stand for a missing label.

    A word that may be a label, such as "None", stands for a missing one only beside a word that is no label's name,
    such as "nan". Words in `known` are labels.
    """
    found = {cell.strip() for cell in cells if isinstance(cell, str)} - set(known)
    return frozenset(found & (_WORDS | _AMBIGUOUS)) if found & _WORDS else frozenset()


def doubtful_labels(split: Split[E], known: Iterable[str]) -> list[str]:
    """Return a list with one warning if the rarest label is a word such as "None"; otherwise an empty list.

    Words in `known` are labels without doubt.
    """
    counts = Counter(one for example in split.examples for one in example.classes)
    rarest = min(counts.values(), default=0)
    doubtful = [label for label in counts if label in _AMBIGUOUS - set(known) and counts[label] == rarest]
    return [
        f"{split.source}: {listed_rows(_rows_with(split, label))} with the label {label!r}, which is read as a label "
        "like the others; if it stands for a missing label, correct or remove the rows"
        for label in doubtful
    ]


def doubtful_texts(splits: Mapping[str, Split[E]]) -> list[str]:
    """Return a warning for each split in which a whole text is a word that stands for a missing one, such as "nan"."""
    warnings = []
    for split in splits.values():
        rows = {
            example.row: text
            for example in split.examples
            for text in example.named_texts.values()
            if text.strip() in _WORDS
        }
        if rows:
            warnings.append(
                f"{split.source}: {listed_rows(sorted(rows))} with the text {next(iter(rows.values()))!r}, which "
                f"programs write for a missing text; correct or remove {'them' if rows.keys() - [min(rows)] else 'it'}"
            )
    return warnings


def _rows_with(split: Split[E], label: str) -> list[int]:
    return [example.row for example in split.examples if label in example.classes]
