"""A linear model over TF-IDF features and an answer that ignores the text: baselines for classifiers and regressors."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.pipeline import FeatureUnion
from sklearn.svm import LinearSVC

from ftool.data.splits import random_part

_MOST_WORK: Final = 100_000_000  # characters of all training texts x labels: half a minute of one core
_MOST_CHARACTERS: Final = 5_000_000  # of all training texts: ten seconds of one core
_LONGEST: Final = 2_000  # characters of a text that are read
_ABSENT: Final = -10.0  # decision for a label without a training example


@dataclass(frozen=True)
class TextTargets:
    """Texts, or pairs of texts, and what is to be predicted for them.

    Attributes:
        inputs: texts, or dicts of "text" and "text_pair".
        targets: the index of each text's label, int (texts,); 0 and 1 for each label, (texts, labels), if a text can
            have several labels; or float (texts, outputs) for regression.
    """

    inputs: Sequence[Any]
    targets: NDArray[Any]

    def __len__(self) -> int:
        return len(self.inputs)


def constant_logits(train: TextTargets, count: int, labels: int, *, regression: bool) -> NDArray[np.float32]:
    """Return `count` equal rows of logits, float32 (count, labels): the most frequent answer of the training texts.

    Each label of multi-label data applies if it applies to at least half the training texts. The answer of a regressor
    is the mean of the targets.
    """
    means = train.targets if regression else _indicators(train.targets, labels) - 0.5
    return np.tile(means.mean(axis=0).astype(np.float32), (count, 1))


@dataclass(frozen=True)
class LinearBaseline:
    """A trained linear model.

    Attributes:
        learnt_from: the number of training texts that were used.
    """

    learnt_from: int
    _features: "_Features"
    _models: Sequence[Any]  # a model for each label or number, or a constant decision

    def logits(self, inputs: Sequence[Any]) -> NDArray[np.float32]:
        """Return the decision values of texts, or of pairs, float32 (texts, labels); a label applies from 0 up."""
        features = self._features.transform(inputs)
        columns = [
            np.full(len(inputs), model) if isinstance(model, float) else _decisions(model, features)
            for model in self._models
        ]
        return np.stack(columns, axis=1).astype(np.float32)


def fit_linear(train: TextTargets, labels: int, *, regression: bool, seed: int) -> LinearBaseline:
    """Train a linear support vector machine for each label, or ridge regression, with scikit-learn's own defaults.

    Features are TF-IDF values of words, pairs of words and one to four characters. If the training data is so large
    that this would take minutes, a random part of the texts is used.
    """
    train = _sample(train, labels, seed)
    features = _Features()
    table = features.fit_transform(train.inputs)
    if regression:
        models: list[Any] = [Ridge().fit(table, numbers) for numbers in train.targets.T]
    else:
        wanted = _indicators(train.targets, labels)
        models = [_fit_label(table, wanted[:, label], seed) for label in range(labels)]
    return LinearBaseline(len(train), features, models)


def _fit_label(table: Any, wanted: NDArray[np.float64], seed: int) -> Any:
    if wanted.all() or not wanted.any():
        return 1.0 if wanted.all() else _ABSENT
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the last digits do not matter for a baseline
        return LinearSVC(random_state=seed).fit(table, wanted)


def _decisions(model: Any, features: Any) -> NDArray[np.float64]:
    found = (
        model.decision_function(features) if hasattr(model, "decision_function") else model.predict(features)
    )
    return np.asarray(found, dtype=np.float64)


class _Features:
    """TF-IDF features of texts; of pairs: those of both texts, their products, and the cosine."""

    def __init__(self) -> None:
        # \w+ alone would find nothing in a text of signs or emoji.
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+|[^\w\s]+")
        characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True)
        self._union = FeatureUnion([("words", words), ("characters", characters)])

    def fit_transform(self, inputs: Sequence[Any]) -> Any:
        firsts, seconds = _texts(inputs)
        if not seconds:
            return self._union.fit_transform(firsts)
        self._union.fit([*firsts, *seconds])
        return self.transform(inputs)

    def transform(self, inputs: Sequence[Any]) -> Any:
        firsts, seconds = _texts(inputs)
        first = self._union.transform(firsts)
        if not seconds:
            return first
        second = self._union.transform(seconds)
        both = csr_array(first.multiply(second))
        return hstack([first, second, both, csr_array(both.sum(axis=1)[:, None])]).tocsr()


def _texts(inputs: Sequence[Any]) -> tuple[list[str], list[str]]:
    """Return the first texts and the second texts; no second texts if the inputs are single texts."""
    if inputs and isinstance(inputs[0], dict):
        return [one["text"][:_LONGEST] for one in inputs], [one["text_pair"][:_LONGEST] for one in inputs]
    return [one[:_LONGEST] for one in inputs], []


def _indicators(targets: NDArray[Any], labels: int) -> NDArray[np.float64]:
    """Return whether each label applies to each text, as 0 and 1: float64 (texts, labels)."""
    if targets.ndim == 2:
        return (targets > 0).astype(np.float64)
    return np.asarray(targets[:, None] == np.arange(labels), dtype=np.float64)


def _sample(train: TextTargets, labels: int, seed: int) -> TextTargets:
    """Return the training texts, or a random part of them if they are too many or too long."""
    firsts, seconds = _texts(train.inputs)
    characters = sum(map(len, firsts)) + sum(map(len, seconds))
    share = min(_MOST_WORK / labels, _MOST_CHARACTERS) / max(characters, 1)
    chosen = random_part(train.inputs, share, seed)
    return TextTargets([train.inputs[position] for position in chosen], train.targets[chosen])
