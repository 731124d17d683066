"""From what a model says of every token to entities with their places in the text, and to tags of words.

Aggregation is that of transformers' TokenClassificationPipeline, words being those of `split_words` whatever the
tokenizer. The torch reference and the ONNX run both end here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.postprocessing.tag_names import begins, outside, type_of
from ftool_runtime.text.words import Span, end_of_character, is_blank, split_words

Aggregation = Literal["none", "simple", "first", "average", "max"]
AGGREGATIONS: Final = ("none", "simple", "first", "average", "max")


@dataclass(frozen=True, slots=True)
class Entity:
    """A stretch of a text and what it is.

    Attributes:
        text: the stretch as it stands in the text that was given.
        label: the kind of entity; without aggregation the token's own tag, such as "B-person".
        start: its first character, counted from 0 in Unicode code points.
        end: the character past its last.
        score: the mean of its words' (or tokens') probabilities.
    """

    text: str
    label: str
    start: int
    end: int
    score: float

    def to_json(self) -> dict[str, Any]:
        """The entity as JSON values."""
        return {
            "text": self.text,
            "label": self.label,
            "start": self.start,
            "end": self.end,
            "score": self.score,
        }


class TokenScores(NamedTuple):
    """A text's own tokens, special ones left out: places in the text, and probabilities (tokens, labels) float64."""

    offsets: Sequence[Span]
    probabilities: NDArray[np.float64]


class Piece(NamedTuple):
    """A token's place in the text, without the spaces at its edges, and its position among the text's tokens."""

    span: Span
    position: int


class _Unit(NamedTuple):
    """What gets one tag: a token, or a word of several."""

    start: int
    end: int
    label: int
    score: float


def find_entities(
    text: str,
    tokens: TokenScores,
    labels: Sequence[str],
    aggregation: Aggregation,
    words: Sequence[Span] | None = None,
) -> list[Entity]:
    """The entities of `text`, in order; none overlaps another.

    Args:
        text: as it was given.
        tokens: what the model says of it.
        labels: the names of the tags, in the order of the probabilities: "O", "B-person", …
        aggregation: how tokens become words and words entities, as in transformers. "none": a token each; "simple":
            neighbours of one kind; "first", "average", "max": as "simple", once all tokens of a word have the tag
            of the first, of the mean of their probabilities, or of the surest one.
        words: where the words stand; None: as `split_words` has them.
    """
    groups = token_groups(text, tokens.offsets, _places(text, aggregation, words))
    units = _units(groups, tokens.probabilities, aggregation)
    ends = [*(unit.start for unit in units[1:]), len(text)]
    units = [
        unit._replace(end=min(end_of_character(text, unit.end), end))
        for unit, end in zip(units, ends, strict=True)
    ]
    if aggregation != "none":
        return _joined(text, units, labels)
    return [
        Entity(text[unit.start : unit.end], labels[unit.label], unit.start, unit.end, unit.score)
        for unit in units
        if not outside(labels[unit.label])
    ]


def tags_of_words(words: Sequence[Span], entities: Sequence[Entity]) -> list[str]:
    """Each word's tag in IOB2: that of the first entity that touches it, "O" where none does."""
    tags = []
    position, begun = 0, -1
    for start, end in words:
        while position < len(entities) and entities[position].end <= start:
            position += 1
        if position == len(entities) or entities[position].start >= end:
            tags.append("O")
            continue
        tags.append(("I-" if begun == position else "B-") + entities[position].label)
        begun = position
    return tags


def first_tokens(text: str, offsets: Sequence[Span], words: Sequence[Span]) -> list[int | None]:
    """For each word the position in `offsets` of the token that speaks for it: the first that touches it.

    None where no token does (the tokenizer dropped the word), or where that token speaks for an earlier word already.
    """
    found: list[int | None] = []
    position, taken = 0, -1
    for start, end in words:
        while position < len(offsets) and _before(text, offsets[position], start):
            position += 1
        token = position if position < len(offsets) and trimmed(text, offsets[position])[0] < end else None
        found.append(token if token != taken else None)
        taken = taken if token is None else token
    return found


def trimmed(text: str, span: Span) -> Span:
    """A token's place without the spaces at its edges, which many tokenizers count as its own."""
    start, end = span
    while start < end and is_blank(text[start]):
        start += 1
    while start < end and is_blank(text[end - 1]):
        end -= 1
    return start, end


def token_groups(text: str, offsets: Sequence[Span], words: Sequence[Span] | None) -> list[list[Piece]]:
    """The tokens that belong together, in order: those of one word, or without words those of one character.

    A token begins a group where a word begins, or where no word is. Tokens that are nothing but space are left out.
    """
    index = None if words is None else _Words(words)
    groups: list[list[Piece]] = []
    end = 0  # of the group
    for position, offset in enumerate(offsets):
        span = trimmed(text, offset)
        if span[0] >= span[1]:
            continue
        if groups and (span[0] < end or (index is not None and index.within(span[0]))):
            groups[-1].append(Piece(span, position))
        else:
            groups.append([Piece(span, position)])
        end = max(end, span[1])
    return groups


class _Words:
    """Where words stand, to be asked for one character after another."""

    def __init__(self, words: Sequence[Span]) -> None:
        self._words = words
        self._position = 0

    def within(self, place: int) -> bool:
        """Whether the character at `place`, not before those asked for earlier, is in a word, past its first."""
        while self._position < len(self._words) and self._words[self._position][1] <= place:
            self._position += 1
        return self._position < len(self._words) and self._words[self._position][0] < place


def _places(text: str, aggregation: Aggregation, words: Sequence[Span] | None) -> Sequence[Span] | None:
    if aggregation in ("none", "simple"):
        return None
    return split_words(text) if words is None else words


def _before(text: str, span: Span, start: int) -> bool:
    """Whether a token ends before a word starts, or is nothing but space."""
    first, last = trimmed(text, span)
    return last <= start or first >= last


def _units(
    groups: Sequence[Sequence[Piece]],
    probabilities: NDArray[np.float64],  # (tokens, labels)
    aggregation: Aggregation,
) -> list[_Unit]:
    best: list[int] = probabilities.argmax(axis=1).tolist()
    sure: list[float] = probabilities.max(axis=1).tolist()
    units = []
    for group in groups:
        position = group[0].position
        label, score = best[position], sure[position]
        if len(group) > 1 and aggregation == "average":
            mean = probabilities[[piece.position for piece in group]].mean(axis=0)
            label = int(mean.argmax())
            score = float(mean[label])
        elif len(group) > 1 and aggregation == "max":
            position = max((piece.position for piece in group), key=sure.__getitem__)
            label, score = best[position], sure[position]
        units.append(_Unit(group[0].span[0], max(piece.span[1] for piece in group), label, score))
    return units


def _joined(text: str, units: Sequence[_Unit], labels: Sequence[str]) -> list[Entity]:
    """Units of one kind that follow each other as one entity, as conlleval has it."""
    groups: list[list[_Unit]] = []
    before = "O"
    for unit in units:
        tag = labels[unit.label]
        if not outside(tag):
            if begins(before, tag):
                groups.append([unit])
            else:
                groups[-1].append(unit)
        before = tag
    return [_entity(text, group, labels) for group in groups]


def _entity(text: str, group: Sequence[_Unit], labels: Sequence[str]) -> Entity:
    start, end = group[0].start, group[-1].end
    score = sum(unit.score for unit in group) / len(group)
    return Entity(text[start:end], type_of(labels[group[0].label]), start, end, score)
