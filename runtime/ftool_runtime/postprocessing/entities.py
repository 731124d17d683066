"""Convert the scores of tokens to entities with their character ranges, and to tags of words.

Aggregation is the same as in transformers' TokenClassificationPipeline, except that text is split into words by
`split_words` for every tokenizer. Used for the outputs of both PyTorch and ONNX.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.postprocessing.tag_names import begins, outside, type_of
from ftool_runtime.text.words import CharRange, end_of_character, is_blank, split_words

Aggregation = Literal["none", "simple", "first", "average", "max"]
AGGREGATIONS: Final = ("none", "simple", "first", "average", "max")


@dataclass(frozen=True, slots=True)
class Entity:
    """An entity in a text.

    Attributes:
        text: the entity's text, exactly as in the given text.
        label: the kind of entity; without aggregation the token's tag, such as "B-person".
        start: the index of the entity's first character in the given text, in Unicode code points.
        end: the index after the entity's last character.
        score: the mean probability of the entity's words (or tokens).
    """

    text: str
    label: str
    start: int
    end: int
    score: float

    def to_json(self) -> dict[str, Any]:
        """Return the entity as JSON values."""
        return {
            "text": self.text,
            "label": self.label,
            "start": self.start,
            "end": self.end,
            "score": self.score,
        }


class TokenScores(NamedTuple):
    """The character ranges of a text's tokens, without special tokens, and probabilities, float64 (tokens, labels)."""

    offsets: Sequence[CharRange]
    probabilities: NDArray[np.float64]


class WordTags(NamedTuple):
    """An IOB2 tag for each word of a text, and the probabilities of these tags, float64 (words,)."""

    tags: list[str]
    certainties: NDArray[np.float64]


class PlacedToken(NamedTuple):
    """A token's character range in the text, without white space at either end, and its index among the tokens."""

    range: CharRange
    position: int


class _Unit(NamedTuple):
    """A token, or a word of several tokens, that gets one tag: its character range, its tag's index and probability."""

    start: int
    end: int
    label: int
    score: float


def find_entities(
    text: str,
    tokens: TokenScores,
    labels: Sequence[str],
    aggregation: Aggregation,
    words: Sequence[CharRange] | None = None,
) -> list[Entity]:
    """Return the entities of `text`, in order, without overlaps.

    Args:
        text: the given text.
        tokens: the scores of the text's tokens.
        labels: the names of the tags, in the order of the probabilities: "O", "B-person", …
        aggregation: the method of merging tokens into entities, as in transformers. "none": each token is an entity.
            "simple": neighbouring tokens with the same kind of entity are one entity. "first", "average" and "max":
            like "simple", but all tokens of a word get the same tag: the first token's, the tag with the highest mean
            probability, or the tag of the token with the highest probability.
        words: the character ranges of the words; None to split the text with `split_words`.
    """
    groups = token_groups(text, tokens.offsets, _places(text, aggregation, words))
    units = _units(groups, tokens.probabilities, aggregation)
    ends = [*(unit.start for unit in units[1:]), len(text)]
    units = [
        unit._replace(end=min(end_of_character(text, unit.end), end))
        for unit, end in zip(units, ends, strict=True)
    ]
    if aggregation != "none":
        return _merged(text, units, labels)
    return [
        Entity(text[unit.start : unit.end], labels[unit.label], unit.start, unit.end, unit.score)
        for unit in units
        if not outside(labels[unit.label])
    ]


def tags_of_words(words: Sequence[CharRange], entities: Sequence[Entity]) -> list[str]:
    """Return an IOB2 tag for each word, from the first entity that overlaps the word, or "O"."""
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


def tag_words(
    text: str,
    tokens: TokenScores,
    labels: Sequence[str],
    aggregation: Aggregation,
    words: Sequence[CharRange],
) -> WordTags:
    """Return the tags of words that `find_entities`, which has the same arguments, gives, with their probabilities.

    The probability of a word is that of its first token's most probable tag; 1 for a word without a token of its own.
    """
    entities = find_entities(text, tokens, labels, aggregation, words)
    best = tokens.probabilities.max(axis=1).tolist() if len(tokens.offsets) else []
    found = first_tokens(text, tokens.offsets, words)
    certainties = [1.0 if token is None else best[token] for token in found]
    return WordTags(tags_of_words(words, entities), np.array(certainties, dtype=np.float64))


def first_tokens(text: str, offsets: Sequence[CharRange], words: Sequence[CharRange]) -> list[int | None]:
    """Return for each word the index in `offsets` of the first token that overlaps the word and decides the word's tag.

    None if there is no such token (the tokenizer dropped the word), or if the token already belongs to an earlier word.
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


def trimmed(text: str, token: CharRange) -> CharRange:
    """Return a token's character range without white space at either end, which many tokenizers include."""
    start, end = token
    while start < end and is_blank(text[start]):
        start += 1
    while start < end and is_blank(text[end - 1]):
        end -= 1
    return start, end


def token_groups(
    text: str, offsets: Sequence[CharRange], words: Sequence[CharRange] | None
) -> list[list[PlacedToken]]:
    """Return tokens in groups, in order: tokens of the same word, or, without `words`, tokens that share a character.

    A token starts a new group if it is at the start of a word or outside all words. Tokens that are only white space
    are left out.
    """
    index = None if words is None else _Words(words)
    groups: list[list[PlacedToken]] = []
    end = 0  # of the group
    for position, offset in enumerate(offsets):
        found = trimmed(text, offset)
        if found[0] >= found[1]:
            continue
        if groups and (found[0] < end or (index is not None and index.within(found[0]))):
            groups[-1].append(PlacedToken(found, position))
        else:
            groups.append([PlacedToken(found, position)])
        end = max(end, found[1])
    return groups


class _Words:
    """The character ranges of words, for queries at increasing positions in the text."""

    def __init__(self, words: Sequence[CharRange]) -> None:
        self._words = words
        self._position = 0

    def within(self, place: int) -> bool:
        """Return whether the character at `place` is in a word, after the word's first character.

        `place` must not decrease from one call to the next.
        """
        while self._position < len(self._words) and self._words[self._position][1] <= place:
            self._position += 1
        return self._position < len(self._words) and self._words[self._position][0] < place


def _places(
    text: str, aggregation: Aggregation, words: Sequence[CharRange] | None
) -> Sequence[CharRange] | None:
    if aggregation in ("none", "simple"):
        return None
    return split_words(text) if words is None else words


def _before(text: str, token: CharRange, start: int) -> bool:
    """Return whether a token ends before the character index `start`, or is only white space."""
    first, last = trimmed(text, token)
    return last <= start or first >= last


def _units(
    groups: Sequence[Sequence[PlacedToken]],
    probabilities: NDArray[np.float64],  # (tokens, labels)
    aggregation: Aggregation,
) -> list[_Unit]:
    best: list[int] = probabilities.argmax(axis=1).tolist()
    certainty: list[float] = probabilities.max(axis=1).tolist()
    units = []
    for group in groups:
        position = group[0].position
        label, score = best[position], certainty[position]
        if len(group) > 1 and aggregation == "average":
            mean = probabilities[[token.position for token in group]].mean(axis=0)
            label = int(mean.argmax())
            score = float(mean[label])
        elif len(group) > 1 and aggregation == "max":
            position = max((token.position for token in group), key=certainty.__getitem__)
            label, score = best[position], certainty[position]
        units.append(_Unit(group[0].range[0], max(token.range[1] for token in group), label, score))
    return units


def _merged(text: str, units: Sequence[_Unit], labels: Sequence[str]) -> list[Entity]:
    """Merge neighbouring units of the same kind into entities, by the rules of the conlleval script."""
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
