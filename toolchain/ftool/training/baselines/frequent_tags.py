"""Baseline for taggers: each word gets the tag that it has most often in training."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from ftool.data.rows.tag_schemes import OUTSIDE, spans_of_tags, tags_of_spans
from ftool.data.rows.tagged_text import TaggedText


@dataclass(frozen=True)
class FrequentTags:
    """The most frequent tag of each word of the training texts."""

    tags: Mapping[str, str]

    @classmethod
    def fit(cls, examples: Sequence[TaggedText]) -> Self:
        """Count the tags of each word. Of equally frequent tags, the one that comes first in the texts is taken."""
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for one in examples:
            for word, tag in zip(one.tokens, one.tags, strict=True):
                counts[word][tag] += 1
        return cls({word: found.most_common(1)[0][0] for word, found in counts.items()})

    def answer(self, examples: Sequence[TaggedText]) -> list[list[str]]:
        """Return IOB2 tags for the words of each text. A word that is in no training text gets the tag O."""
        answers = []
        for one in examples:
            tags = [self.tags.get(word, OUTSIDE) for word in one.tokens]
            answers.append(tags_of_spans(spans_of_tags(tags), len(tags)))
        return answers
