"""TF-IDF vectors of texts by their words, and the nearest texts by these vectors."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import TfidfVectorizer

from ftool.data.splits import random_part
from ftool.evaluation.languages import units

_LONGEST: Final = 2_000  # characters of a text that are read
_MOST_CHARACTERS: Final = 20_000_000  # of all training texts: ten seconds of one core
_CELLS_AT_A_TIME: Final = 10_000_000  # similarities in memory: 40 MB


class WordVectors:
    """TF-IDF vectors of texts, of length 1; in scripts without spaces, each character is a word."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Compute how rare each word is in `texts`."""
        self._words = TfidfVectorizer(
            tokenizer=_words, lowercase=False, token_pattern=None, sublinear_tf=True, dtype=np.float32
        )
        self._words.fit([text[:_LONGEST] for text in texts])

    def __call__(self, texts: Sequence[str]) -> csr_array:
        """Return the vectors of texts, float32 (texts, words), whose dot products are cosine similarities."""
        return csr_array(self._words.transform([text[:_LONGEST] for text in texts]))


def nearest(queries: csr_array, corpus: csr_array) -> NDArray[np.int64]:
    """Return the position in `corpus` of the vector most similar to each query, the first of equals: (queries,)."""
    step = max(1, _CELLS_AT_A_TIME // max(corpus.shape[0], 1))
    blocks = [
        (queries[start : start + step] @ corpus.T).toarray().argmax(axis=1)
        for start in range(0, queries.shape[0], step)
    ]
    return np.concatenate(blocks).astype(np.int64)


def enough_texts(texts: Sequence[str], seed: int) -> list[int]:
    """Return the positions of all texts, or of a random part of them if they have more than 20 million characters."""
    return random_part(texts, _MOST_CHARACTERS / max(sum(map(len, texts)), 1), seed)


def part_of(count: int, total: int) -> str:
    """Return the end of a baseline's title: how much of the training data was used, or "" if all of the data was."""
    return "" if count == total else f", of {count} of {total} texts"


def _words(text: str) -> list[str]:
    return units(text) or [text]
