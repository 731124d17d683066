"""Recognise split names, cut missing splits off the training data, and find texts that are in two splits.

Splits are cut off stratified by class, and examples of the same group go to the same split. Examples are chosen only by
the seed and by their texts: the result is the same on every machine and with every version of Python, and if rows are
added to the data, few of the other rows change their split.
"""

import hashlib
import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from ftool.data.dataset import E, Split
from ftool.data.table import Table
from ftool.errors import DataError
from ftool.recipe.data_settings import DataSettings

SPLITS: Final = ("train", "validation", "test")

_ROWS_OF_SEVERAL = (
    4  # rows for each text that has different labels; with fewer, a text may have several labels
)
_CONTRADICTIONS = 20  # texts with several labels that a warning lists
_SHARD = re.compile(r"-\d+-of-\d+$")
_SPELLINGS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "development": "validation",
    "test": "test",
    "testing": "test",
}


def split_called(name: str) -> str | None:
    """Return the standard name of a split, such as "validation" for "dev"; None if `name` is not a name of a split.

    `name` is a key, the stem of a file, or the stem of a shard, such as "train-00000-of-00002".
    """
    return _SPELLINGS.get(_SHARD.sub("", name.lower()))


def with_left_out_warning(tables: dict[str, Table], source: str, names: Iterable[str]) -> dict[str, Table]:
    """Return the tables of splits. If `names` has any, the first table warns that these parts are left out.

    `names` are the names of parts of the data `source` that are not called like splits.
    """
    left_out = ", ".join(map(repr, names))
    if not tables or not left_out:
        return tables
    warning = f"{source}: left out, because they are not called train, validation or test: {left_out}"
    first = next(iter(tables))
    return {**tables, first: replace(tables[first], warnings=(*tables[first].warnings, warning))}


def is_shard(stem: str) -> bool:
    """Whether the stem of a file is that of a shard (one of several files of a split), as in "train-00000-of-00002"."""
    return _SHARD.search(stem) is not None


def cut_missing_splits(
    splits: dict[str, Split[E]],
    settings: DataSettings,
    groups: Callable[[Sequence[E]], list[str]],
    how: str,
) -> list[str]:
    """Add the test and validation splits to `splits`, if missing, by cutting them off the training split.

    `groups` returns the group of each example; examples of the same group go to the same split. Returns notes: one line
    for each split that was cut off, and a line with the number of examples in each split. `how` is the phrase in these
    notes that describes how the data was divided.
    """
    notes = []
    share_left = 1.0
    for name, fraction in (("test", settings.test_fraction), ("validation", settings.validation_fraction)):
        if name not in splits:
            train = splits["train"]
            splits["train"], splits[name] = cut_off(
                train, groups(train.examples), fraction / share_left, settings.seed, name
            )
            share_left -= fraction
            notes.append(
                f"{name}: {len(splits[name])} examples set aside from the training data "
                f"({fraction:.0%}, {how}, seed {settings.seed})"
            )
    names = dict.fromkeys((*SPLITS, *splits))
    return [*notes, "examples: " + ", ".join(f"{len(splits[name])} {name}" for name in names)]


def cut_off(
    whole: Split[E], groups: Sequence[str], fraction: float, seed: int, name: str
) -> tuple[Split[E], Split[E]]:
    """Divide a split in two. Return the rest, and the new split with about `fraction` of the examples.

    Both are in the order of the source. `groups` holds the group of each example; examples of the same group go to the
    same split. Each class loses about the same share of its examples, but never the last one; an example of several
    classes counts for the rarest of these classes. `name` is the name of the new split in error messages. Raises
    DataError if there are too few examples to cut off even one.
    """
    classes = [example.classes for example in whole.examples]
    frequency = Counter(one for several in classes for one in several)
    strata: dict[str, list[list[int]]] = defaultdict(list)
    for rows in positions_by_text(groups).values():
        strata[_stratum(classes, rows, frequency)].append(rows)
    cut: set[int] = set()
    due = 0.0  # examples still to cut; carried over so that small strata round up as often as down
    for stratum in sorted(strata, key=lambda one: (frequency[one], one)):
        members = sorted(strata[stratum], key=lambda rows: _draw(seed, groups[rows[0]]))
        due += fraction * sum(map(len, members))
        for rows in members:
            if len(cut) + len(rows) / 2 > due:
                break
            lost = Counter(one for row in rows for one in classes[row])
            if all(frequency[one] > count for one, count in lost.items()):
                cut.update(rows)
                frequency.subtract(lost)
    if not cut:
        different = len(positions_by_text(groups))
        few = (
            f"{len(whole)} rows"
            if different > len(whole) / 2
            else f"{different} different texts in {len(whole)} rows"
        )
        raise DataError(
            f"{whole.source}: {few} are too few to cut a {name} split off; add rows, or name a file in data.{name}"
        )
    kept = [row for row in range(len(whole)) if row not in cut]
    return whole.take(kept), whole.take(sorted(cut))


def shared_texts(splits: Mapping[str, Split[E]]) -> list[str]:
    """Return warnings about texts that are also in the training split.

    There is one warning if the validation split has such texts, and one if the test split has such texts.
    """
    trained = {same_text(example.key) for example in splits["train"].examples}
    warnings = []
    for name in (name for name in SPLITS[1:] if name in splits):
        split = splits[name]
        shared = [example for example in split.examples if same_text(example.key) in trained]
        if shared:
            first = f"row {shared[0].row}: {shared[0].group[:60]!r}"
            warnings.append(
                f"{split.source}: {len(shared)} of {len(split)} texts are also in the training data "
                f"(first: {first}); remove them, or the {name} figures look better than they are"
            )
    return warnings


def contradictions(split: Split[E]) -> list[str]:
    """Return a list with one warning if rows of the same text have different classes; otherwise an empty list."""
    examples = split.examples
    differing = [
        positions
        for positions in positions_by_text([example.key for example in examples]).values()
        if len({frozenset(examples[position].classes) for position in positions}) > 1
    ]
    if not differing:
        return []
    shown = "; ".join(
        _rows_of([examples[position] for position in one]) for one in differing[:_CONTRADICTIONS]
    )
    more = f"; and {len(differing) - _CONTRADICTIONS} more" if len(differing) > _CONTRADICTIONS else ""
    count = f"{len(differing)} text{'s' if len(differing) > 1 else ''}"
    several = len(differing) > len(examples) / _ROWS_OF_SEVERAL
    remedy = (
        "; if a text has several labels, write them in one row, as with --label-separator" if several else ""
    )
    return [f"{split.source}: {count} with different labels in different rows: {shown}{more}{remedy}"]


def _rows_of(examples: Sequence[Any]) -> str:
    """Return two rows of the same text that have different labels, with these labels."""
    first = examples[0]
    other = next(one for one in examples if frozenset(one.classes) != frozenset(first.classes))
    return "rows " + " and ".join(f"{one.row} ({', '.join(one.classes) or 'none'})" for one in (first, other))


def positions_by_text(texts: Sequence[str]) -> dict[str, list[int]]:
    """Return a dict from each text, normalised by `same_text`, to the positions (from 0) of this text in `texts`."""
    positions: dict[str, list[int]] = defaultdict(list)
    for position, text in enumerate(texts):
        positions[same_text(text)].append(position)
    return positions


def same_text(text: str) -> str:
    """Return a text normalised for comparison.

    Texts that differ only in case, white space or Unicode form have the same normalised text.
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _stratum(classes: Sequence[Sequence[str]], rows: Sequence[int], frequency: Counter[str]) -> str:
    found = {one for row in rows for one in classes[row]}
    return min(found, key=lambda one: (frequency[one], one), default="")


def _draw(seed: int, text: str) -> bytes:
    return hashlib.sha256(f"{seed}\n{same_text(text)}".encode()).digest()


def random_part(texts: Sequence[object], share: float, seed: int) -> list[int]:
    """Return the positions of all texts, in order, or of a random part of them if `share` is below 1."""
    if share >= 1:
        return list(range(len(texts)))
    count = math.ceil(share * len(texts))
    return sorted(np.random.default_rng(seed).permutation(len(texts))[:count].tolist())
