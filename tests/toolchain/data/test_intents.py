"""The built-in data set of intents: format, size and labels, and no near-duplicates across splits."""

import csv
import re
from collections import Counter
from itertools import combinations

import pytest
from tests.helpers.paths import INTENTS

SPLITS = ("train", "validation", "test")
NEAR = 0.75  # Jaccard similarity of trigram sets from which two texts count as near-duplicates
NUMBER_WORDS = frozenset(
    re.findall(
        r"\w+",
        """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
        sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred
        thousand million""",
    )
)

Rows = list[tuple[str, str]]  # (text, label)


def read_split(split: str) -> Rows:
    with (INTENTS / f"{split}.csv").open(encoding="utf-8", newline="") as lines:
        return [(row["text"], row["label"]) for row in csv.DictReader(lines, strict=True)]


def normalise(text: str) -> str:
    """Casefolded, without punctuation, white space folded, a run of numbers or number words as one '#'."""
    text = re.sub(r"\d+(?:[.,:]\d+)*", " # ", text.casefold())
    text = re.sub(r"['\N{RIGHT SINGLE QUOTATION MARK}]", "", text)  # "what's" and "whats" are one word
    words = re.sub(r"[^\w\s#]|_", " ", text).split()
    joined = " ".join("#" if word in NUMBER_WORDS else word for word in words)
    return re.sub(r"#(?: #)+", "#", joined)


def trigrams(text: str) -> frozenset[str]:
    """Character trigrams of the normalised text; a shorter one stands for itself."""
    text = normalise(text)
    return frozenset(text[i : i + 3] for i in range(len(text) - 2)) or frozenset({text})


def near_duplicates(first: list[str], second: list[str]) -> list[tuple[str, str]]:
    """Pairs over the two lists that are equal when normalised, or whose trigram sets reach NEAR."""
    holders: dict[str, list[int]] = {}  # trigram -> indices into second
    second_sets = [trigrams(text) for text in second]
    for index, grams in enumerate(second_sets):
        for gram in grams:
            holders.setdefault(gram, []).append(index)
    pairs = []
    for text in first:
        grams = trigrams(text)
        shared = Counter(index for gram in grams for index in holders.get(gram, ()))
        for index, overlap in shared.items():
            if overlap >= NEAR * (len(grams) + len(second_sets[index]) - overlap):
                pairs.append((text, second[index]))
    return pairs


@pytest.fixture(scope="module")
def data() -> dict[str, Rows]:
    return {split: read_split(split) for split in SPLITS}


@pytest.fixture(scope="module")
def rows(data: dict[str, Rows]) -> Rows:
    return [row for split in SPLITS for row in data[split]]


@pytest.mark.parametrize("split", SPLITS)
def test_files_are_utf8_csv_with_the_header_and_unix_line_ends(split: str) -> None:
    content = (INTENTS / f"{split}.csv").read_bytes()
    assert content.decode("utf-8").startswith("text,label\n")
    assert content.endswith(b"\n")
    assert b"\r" not in content
    with (INTENTS / f"{split}.csv").open(encoding="utf-8", newline="") as lines:
        assert all(len(fields) == 2 for fields in csv.reader(lines, strict=True))


def test_there_are_at_least_24_intents_and_none(rows: Rows) -> None:
    labels = {label for _, label in rows}
    assert "none" in labels
    assert len(labels - {"none"}) >= 24
    assert all(re.fullmatch(r"[a-z]+(?:_[a-z]+)*", label) for label in labels)


def test_there_are_at_least_1200_utterances(rows: Rows) -> None:
    assert len(rows) >= 1200


def test_largest_class_is_at_least_six_times_the_smallest(data: dict[str, Rows], rows: Rows) -> None:
    for part in (rows, data["train"]):
        sizes = Counter(label for _, label in part).values()
        assert max(sizes) >= 6 * min(sizes)


def test_every_label_is_in_every_split(data: dict[str, Rows], rows: Rows) -> None:
    least = {"train": 1, "validation": 2, "test": 3}
    for split in SPLITS:
        sizes = Counter(label for _, label in data[split])
        too_few = {label for _, label in rows if sizes[label] < least[split]}
        assert not too_few, f"{split} has fewer than {least[split]} of {sorted(too_few)}"


def test_no_text_is_empty_or_has_surrounding_white_space(rows: Rows) -> None:
    bad = [text for text, _ in rows if not normalise(text) or text != text.strip() or "\n" in text]
    assert bad == []


def test_no_text_is_twice_in_one_split(data: dict[str, Rows]) -> None:
    for split in SPLITS:
        seen = Counter(normalise(text) for text, _ in data[split])
        assert [text for text, count in seen.items() if count > 1] == []


@pytest.mark.parametrize(("first", "second"), list(combinations(SPLITS, 2)))
def test_no_near_duplicates_across_splits(data: dict[str, Rows], first: str, second: str) -> None:
    pairs = near_duplicates([text for text, _ in data[first]], [text for text, _ in data[second]])
    assert pairs == []


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        ("Set a timer for 10 minutes!", "set a timer for twenty-five minutes", True),  # equal when normalised
        ("turn up the brightness", "turn up the brightnes", True),  # 19 of 20 trigrams
        ("ok", "OK.", True),  # too short for a trigram
        ("turn on wifi", "turn off wifi", False),  # 7 of 14
        ("mute", "play some jazz", False),
    ],
)
def test_near_duplicates_are_told_from_different_texts(one: str, other: str, near: bool) -> None:
    assert bool(near_duplicates([one], [other])) is near
