"""Baselines for generators: answers that are copied from the input or from a training example."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ftool.data.dataset import Dataset
from ftool.data.rows.generation import GenerationExample
from ftool.evaluation.languages import sentences
from ftool.training.baselines.tfidf import WordVectors, enough_texts, nearest, part_of

_MOST_SENTENCES: Final = 5
_TUNED_ON: Final = 200  # validation examples that decide on the number of sentences

Examples = Sequence[GenerationExample]
Score = Callable[[Sequence[str], Examples], float]  # the main metric of answers


@dataclass(frozen=True, kw_only=True)
class SimpleAnswers:
    """A baseline's answers to some examples.

    Attributes:
        title: what the baseline is, for people.
        texts: the answer to each example.
        learnt_from: the number of training examples that were used.
        trivial: whether the baseline ignores its input.
    """

    title: str
    texts: Sequence[str]
    learnt_from: int
    trivial: bool = False


def most_frequent_answer(
    data: Dataset[GenerationExample], examples: Examples, score: Score, seed: int
) -> SimpleAnswers:
    """Answer with the most frequent training answer, the first of equally frequent ones."""
    del score, seed
    answer = Counter(one.targets[0] for one in data.train.examples).most_common(1)[0][0]
    return SimpleAnswers(
        title="always the most frequent answer",
        texts=[answer] * len(examples),
        learnt_from=len(data.train),
        trivial=True,
    )


def nearest_answer(
    data: Dataset[GenerationExample], examples: Examples, score: Score, seed: int
) -> SimpleAnswers:
    """Answer with the answer of the training example whose input is most similar by TF-IDF of words."""
    del score
    inputs = [one.key for one in data.train.examples]
    places = enough_texts(inputs, seed)
    known = [inputs[place] for place in places]
    vectors = WordVectors(known)
    found = nearest(vectors([one.key for one in examples]), vectors(known))
    return SimpleAnswers(
        title="the answer of the most similar training input" + part_of(len(places), len(inputs)),
        texts=[data.train.examples[places[place]].targets[0] for place in found],
        learnt_from=len(places),
    )


def copied_source(
    data: Dataset[GenerationExample], examples: Examples, score: Score, seed: int
) -> SimpleAnswers:
    """Answer with the source itself: what names, numbers and words that both languages share are worth."""
    del data, score, seed
    return SimpleAnswers(title="the source unchanged", texts=[one.source for one in examples], learnt_from=0)


def leading_sentences(
    data: Dataset[GenerationExample], examples: Examples, score: Score, seed: int
) -> SimpleAnswers:
    """Answer with the first sentences of the source: as many of 1 to 5 as score best on validation."""
    del seed
    validation = data.validation.examples
    places = np.linspace(0, len(validation) - 1, min(_TUNED_ON, len(validation))).round().astype(int)
    known = [validation[place] for place in places]
    count = max(range(1, _MOST_SENTENCES + 1), key=lambda count: score(_leads(known, count), known))
    return SimpleAnswers(
        title="the first sentence" if count == 1 else f"the first {count} sentences",
        texts=_leads(examples, count),
        learnt_from=len(known),
    )


def _leads(examples: Examples, count: int) -> list[str]:
    return [" ".join(sentences(one.source)[:count]) for one in examples]


BASELINES: Final[
    Mapping[str, Callable[[Dataset[GenerationExample], Examples, Score, int], SimpleAnswers]]
] = {
    "majority": most_frequent_answer,
    "nearest": nearest_answer,
    "copy": copied_source,
    "lead": leading_sentences,
}
