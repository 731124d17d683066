"""Baseline for readers: the sentence of the context that shares most words with the question."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log
from typing import Self

import numpy as np

from ftool.data.rows.questions import Question
from ftool.evaluation.languages import sentences, units
from ftool.evaluation.metrics.answers import ScoredSpans


@dataclass(frozen=True)
class SharedWords:
    """Weights of words: the rarer a word is in the sentences of the training contexts, the more it counts.

    Attributes:
        weights: the inverse document frequency of each word.
        unknown: the weight of a word that is in no training context.
    """

    weights: Mapping[str, float]
    unknown: float

    @classmethod
    def fit(cls, examples: Sequence[Question]) -> Self:
        """Compute the weights from the contexts of the training questions."""
        counts: dict[str, int] = {}
        total = 0
        for context in dict.fromkeys(one.context for one in examples):
            for words in _sentence_words(context):
                total += 1
                for word in words:
                    counts[word] = counts.get(word, 0) + 1
        weights = {word: log((1 + total) / (1 + count)) + 1 for word, count in counts.items()}
        return cls(weights, log(1 + total) + 1)

    def answer(self, examples: Sequence[Question]) -> ScoredSpans:
        """Return the best sentence of each context, with the weight of the words that it shares with the question.

        Of equally good sentences, the first is taken.
        """
        cut = lru_cache(maxsize=64)(lambda context: (sentences(context), _sentence_words(context)))
        best, margins = [], []
        for one in examples:
            asked = set(units(one.question))
            texts, words = cut(one.context)
            scores = [self._weight(asked & own) for own in words] or [0.0]
            place = int(np.argmax(scores))
            best.append(texts[place] if texts else "")
            margins.append(scores[place])
        references = [one.answers for one in examples]
        return ScoredSpans(best=best, margins=np.array(margins, dtype=np.float64), references=references)

    def _weight(self, words: Iterable[str]) -> float:
        return sum(self.weights.get(word, self.unknown) for word in sorted(words))


def _sentence_words(context: str) -> list[frozenset[str]]:
    return [frozenset(units(text)) for text in sentences(context)]
