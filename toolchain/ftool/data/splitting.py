"""Cutting a split off the training data, stratified by label, the same text kept on one side.

Which rows are cut depends on the seed and on their texts alone: it is the same on every machine and
with every version of Python, and rows that are added later move few others.
"""

import hashlib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence, Sized
from typing import TypeVar

from ftool.data.examples import Examples
from ftool.data.split_names import SPLITS
from ftool.data.types import DataError
from ftool.recipe.data_settings import DataSettings

S = TypeVar("S", bound=Sized)


def cut_off(examples: Examples, fraction: float, seed: int, split: str) -> tuple[Examples, Examples]:
    """`examples` without a share of about `fraction`, and that share, both in the order of the source.

    Each label loses about the same share, none its last row; a row of several labels counts for the rarest.
    Raises DataError where there are too few rows for a share of one.
    """
    frequency = Counter(label for labels in examples.labels for label in labels)
    strata: dict[str, list[list[int]]] = defaultdict(list)
    for rows in rows_by_text(examples.texts).values():
        strata[_stratum(examples, rows, frequency)].append(rows)
    cut: set[int] = set()
    due = 0.0  # carried over, so that small strata round up as often as down
    for stratum in sorted(strata, key=lambda label: (frequency[label], label)):
        groups = sorted(strata[stratum], key=lambda rows: _draw(seed, examples.texts[rows[0]]))
        due += fraction * sum(map(len, groups))
        for rows in groups:
            if len(cut) + len(rows) / 2 > due:
                break
            if _may_lose(examples, rows, frequency):
                cut.update(rows)
                frequency.subtract(label for row in rows for label in examples.labels[row])
    if not cut:
        raise DataError(
            f"{examples.source}: {len(examples)} rows are too few to cut a {split} split off; "
            f"add rows, or name a file in data.{split}"
        )
    kept = [row for row in range(len(examples)) if row not in cut]
    return examples.take(kept), examples.take(sorted(cut))


def cut_missing_splits(
    splits: dict[str, S],
    settings: DataSettings,
    cut: Callable[[S, float, int, str], tuple[S, S]],
    how: str,
) -> list[str]:
    """Put the test and the validation split into `splits` where they are missing, cut off the training examples.

    `cut` does so as `cut_off` would. Returned is what was done, `how` included, and how many examples each split has.
    """
    notes = []
    share_left = 1.0
    for name, fraction in (("test", settings.test_fraction), ("validation", settings.validation_fraction)):
        if name not in splits:
            splits["train"], splits[name] = cut(splits["train"], fraction / share_left, settings.seed, name)
            share_left -= fraction
            notes.append(
                f"{name}: {len(splits[name])} examples cut off the training data "
                f"({fraction:.0%}, {how}, seed {settings.seed})"
            )
    names = dict.fromkeys((*SPLITS, *splits))
    return [*notes, "examples: " + ", ".join(f"{len(splits[name])} {name}" for name in names)]


def rows_by_text(texts: Sequence[str]) -> dict[str, list[int]]:
    """The positions of each text; those that differ in case, spaces or Unicode form alone are the same."""
    positions: dict[str, list[int]] = defaultdict(list)
    for position, text in enumerate(texts):
        positions[same_text(text)].append(position)
    return positions


def same_text(text: str) -> str:
    """What texts that count as the same have in common."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _stratum(examples: Examples, rows: Sequence[int], frequency: Counter[str]) -> str:
    labels = {label for row in rows for label in examples.labels[row]}
    return min(labels, key=lambda label: (frequency[label], label), default="")


def _draw(seed: int, text: str) -> bytes:
    return hashlib.sha256(f"{seed}\n{same_text(text)}".encode()).digest()


def _may_lose(examples: Examples, rows: Sequence[int], left: Counter[str]) -> bool:
    lost = Counter(label for row in rows for label in examples.labels[row])
    return all(left[label] > count for label, count in lost.items())
