"""Find texts that occur more than once, in the same words or nearly so, and texts with several answers."""

import re
import unicodedata
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from datasketch import MinHash, MinHashLSH

from ftool.data.dataset import Example, Split
from ftool.data.splits import same_text

NEAR: Final = 0.8  # share of character sequences that two nearly equal texts have in common
_SEQUENCE: Final = 5  # characters
_PERMUTATIONS: Final = 64
_BLOCK: Final = 2000  # texts whose sequences are in memory at a time
_MOST_TEXTS: Final = 50_000  # half a minute of one core
_LONGEST: Final = 2_000  # characters of a text that are compared
_PUNCTUATION: Final = re.compile(r"[\W_]+")


class Place(NamedTuple):
    """Where an example is: its split, and its row in the source."""

    split: str
    row: int

    def __str__(self) -> str:
        return f"{self.split} row {self.row}"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two examples with the same or nearly the same text; `second` comes later in the order of the splits."""

    first: Place
    second: Place
    texts: tuple[str, str]
    answers: tuple[str, str]  # labels or scores as text; empty if examples have neither

    @property
    def same_answer(self) -> bool:
        """Whether both examples have the same labels, or the same score."""
        return self.answers[0] == self.answers[1]

    def to_json(self) -> dict[str, Any]:
        """Return the pair as plain JSON: a dict for each of the two examples."""
        places = (self.first, self.second)
        return {
            name: {**place._asdict(), "text": text, "answer": answer}
            for name, place, text, answer in zip(
                ("first", "second"), places, self.texts, self.answers, strict=True
            )
        }


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """Texts that occur more than once.

    Attributes:
        within: the number of examples by split whose text occurs earlier in the same split.
        trained: the number of examples by split, other than the training split, whose text is in the training split.
        conflicts: the number of texts whose rows have different answers.
        shown: a few pairs, those with different answers first.
        looked_at: the number of examples that were compared.
    """

    within: Mapping[str, int]
    trained: Mapping[str, int]
    conflicts: int
    shown: Sequence[Pair]
    looked_at: int

    def to_json(self) -> dict[str, Any]:
        """Return the counts and a few pairs as plain JSON."""
        return {
            "within": dict(self.within),
            "also_in_training": dict(self.trained),
            "with_different_answers": self.conflicts,
            "examples_compared": self.looked_at,
            "shown": [pair.to_json() for pair in self.shown],
        }


@dataclass(frozen=True, slots=True)
class _Text:
    """The text of an example, its answer, and where it is."""

    place: Place
    text: str
    answer: str


def find_repeats(splits: Mapping[str, Split[Any]], *, shown: int) -> tuple[Repeats, Repeats]:
    """Return the examples with equal texts, and those with nearly equal texts that are not equal.

    Equal texts differ at most in case, white space and Unicode form. Nearly equal texts have 80% of their sequences of
    five characters in common (Jaccard index, candidates by MinHash: Broder 1997), punctuation left out. At most 50,000
    different texts are compared for that: all of the smallest splits and the first of the others.
    """
    groups: dict[str, list[_Text]] = defaultdict(list)
    for name, split in splits.items():
        for example in split.examples:
            one = _Text(Place(name, example.row), example.whole_input, _answer(example))
            groups[same_text(one.text)].append(one)
    equal = [(group[0], later) for group in groups.values() for later in group[1:]]
    conflicts = sum(len({one.answer for one in group}) > 1 for group in groups.values())
    exact = _counted(groups.values(), equal, conflicts, sum(map(len, splits.values())), shown)
    return exact, _near(groups, list(splits), shown)


def _near(groups: Mapping[str, Sequence[_Text]], splits: Sequence[str], shown: int) -> Repeats:
    """Return the nearly equal texts among the different texts, the keys of `groups`."""
    rare_first = sorted(groups.values(), key=lambda group: group[0].place.split == splits[0])
    different = [group[0] for group in rare_first[:_MOST_TEXTS]]
    order = {name: number for number, name in enumerate(splits)}
    different.sort(key=lambda one: order[one.place.split])
    pairs = [
        (different[first], different[second])
        for first, second in _near_pairs([one.text for one in different])
    ]
    clusters: dict[Place, list[_Text]] = {}
    for first, second in pairs:
        clusters.setdefault(first.place, [first]).append(second)
    conflicts = sum(len({one.answer for one in cluster}) > 1 for cluster in clusters.values())
    return _counted(clusters.values(), pairs, conflicts, len(different), shown)


def _near_pairs(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield the positions (earlier, later) of nearly equal texts: for each text the first text like it."""
    found = MinHashLSH(threshold=NEAR, num_perm=_PERMUTATIONS)
    known: list[frozenset[str]] = []
    for start in range(0, len(texts), _BLOCK):
        block = [_sequences(text) for text in texts[start : start + _BLOCK]]
        hashes = MinHash.bulk(
            [[one.encode() for one in sequences] for sequences in block],
            num_perm=_PERMUTATIONS,
            hashfunc=zlib.crc32,
        )
        for position, (sequences, own) in enumerate(zip(block, hashes, strict=True), start=start):
            for other in sorted(found.query(own)):
                if _alike(sequences, known[other]):
                    yield other, position
                    break
            known.append(sequences)
            found.insert(position, own)


def _sequences(text: str) -> frozenset[str]:
    plain = _PUNCTUATION.sub(" ", unicodedata.normalize("NFKC", text[:_LONGEST]).casefold()).strip() or text
    return frozenset(plain[start : start + _SEQUENCE] for start in range(max(1, len(plain) - _SEQUENCE + 1)))


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    return len(one & other) >= NEAR * len(one | other)


def _counted(
    groups: Any, pairs: Sequence[tuple[_Text, _Text]], conflicts: int, looked_at: int, shown: int
) -> Repeats:
    within: dict[str, int] = defaultdict(int)
    trained: dict[str, int] = defaultdict(int)
    for group in groups:
        seen = {group[0].place.split}
        for one in group[1:]:
            split = one.place.split
            if split != "train" and "train" in seen:
                trained[split] += 1
            elif split in seen:
                within[split] += 1
            seen.add(split)
    across = sorted(
        pairs, key=lambda pair: (pair[0].answer == pair[1].answer, pair[0].place.split == pair[1].place.split)
    )
    return Repeats(
        within=dict(within),
        trained=dict(trained),
        conflicts=conflicts,
        shown=[
            Pair(first.place, second.place, (first.text, second.text), (first.answer, second.answer))
            for first, second in across[:shown]
        ],
        looked_at=looked_at,
    )


def _answer(example: Example) -> str:
    """Return what two examples of one text can contradict each other in, as text: their classes or their score."""
    score = getattr(example, "score", None)
    return ", ".join(sorted(set(example.classes))) if score is None else f"{score:g}"
