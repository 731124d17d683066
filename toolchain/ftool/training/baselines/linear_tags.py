"""Baseline for taggers: a linear model on each word, its shape, beginning and end, and its neighbours."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction import FeatureHasher
from sklearn.svm import LinearSVC

from ftool.data.rows.tag_schemes import spans_of_tags, tags_of_spans
from ftool.data.rows.tagged_text import TaggedText
from ftool.data.splits import random_part

_MOST_WORK: Final = 2_000_000  # words of all training texts x tags: half a minute of one core
_LONGEST_SHAPE: Final = 8  # characters
_NEIGHBOURS: Final = (-2, -1, 1, 2)
_HASHER: Final = FeatureHasher(2**20, input_type="string", alternate_sign=False)


@dataclass(frozen=True)
class LinearTags:
    """A trained linear model of tags.

    Attributes:
        learnt_from: the number of training texts that were used.
    """

    learnt_from: int
    _tags: Sequence[str]
    _model: Any  # None if the training texts have only one tag

    @classmethod
    def fit(cls, examples: Sequence[TaggedText], seed: int) -> Self:
        """Train a linear support vector machine for each tag, with scikit-learn's own defaults.

        If the training data is so large that this would take minutes, a random part of the texts is used.
        """
        words = sum(len(one.words) for one in examples)
        kinds = {tag for one in examples for tag in one.tags}
        known = [examples[n] for n in random_part(examples, _MOST_WORK / max(words * len(kinds), 1), seed)]
        tags = sorted({tag for one in known for tag in one.tags})
        if len(tags) == 1:
            return cls(len(known), tags, None)
        number = {tag: place for place, tag in enumerate(tags)}
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", ConvergenceWarning
            )  # the last digits do not matter for a baseline
            model = LinearSVC(random_state=seed).fit(
                _features(known), np.array([number[tag] for one in known for tag in one.tags])
            )
        return cls(len(known), tags, model)

    def answer(self, examples: Sequence[TaggedText]) -> list[list[str]]:
        """Return IOB2 tags for the words of each text."""
        ends = np.cumsum([len(one.words) for one in examples])
        found = (
            np.zeros(ends[-1], dtype=int) if self._model is None else self._model.predict(_features(examples))
        )
        answers = []
        for one, end in zip(examples, ends, strict=True):
            tags = [self._tags[place] for place in found[end - len(one.words) : end]]
            answers.append(tags_of_spans(spans_of_tags(tags), len(tags)))
        return answers


def _features(examples: Sequence[TaggedText]) -> Any:
    """Return the hashed features of all words of all texts, sparse (words, features)."""
    return _HASHER.transform(found for one in examples for found in _of_words(one.tokens))


def _of_words(words: Sequence[str]) -> list[list[str]]:
    """Return the names of the features of each word."""
    lower, shapes = [word.lower() for word in words], [_shape(word) for word in words]
    found = []
    for place, word in enumerate(lower):
        own = [f"word={word}", f"shape={shapes[place]}", f"begin={word[:3]}"]
        own += [f"end={word[-length:]}" for length in (2, 3, 4)]
        for step in _NEIGHBOURS:
            if 0 <= place + step < len(words):
                own.append(f"word{step}={lower[place + step]}")
                own.append(f"shape{step}={shapes[place + step]}")
            else:
                own.append(f"word{step}=")
        found.append(own)
    return found


def _shape(word: str) -> str:
    """Return the first characters of a word with A for each capital, a for other letters, and 0 for digits."""
    return "".join(
        "A" if one.isupper() else "a" if one.isalpha() else "0" if one.isdigit() else one
        for one in word[:_LONGEST_SHAPE]
    )
