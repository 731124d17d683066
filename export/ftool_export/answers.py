"""What logits stand for, and how far two sets of them are apart.

The runtime's own post-processing decides, so the torch reference and a bundle can't drift apart here.
"""

import numpy as np
from numpy.typing import NDArray

from ftool_export.classifier import LoadedClassifier
from ftool_runtime.tasks.text_classification import classify, probabilities

Logits = NDArray[np.float32]  # (texts, labels)


def applying_labels(loaded: LoadedClassifier, logits: Logits) -> NDArray[np.bool_]:
    """The labels that apply to every text, bool (texts, labels)."""
    column = {label: index for index, label in enumerate(loaded.labels)}
    result = np.zeros(logits.shape, dtype=np.bool_)
    thresholds = loaded.thresholds
    for row, answer in enumerate(
        classify(logits, loaded.labels, multi_label=loaded.multi_label, thresholds=thresholds)
    ):
        result[row, [column[label] for label in answer.labels]] = True
    return result


def agreement(loaded: LoadedClassifier, reference: Logits, other: Logits) -> float:
    """The share of answers that are the same, from 0 to 1.

    An answer is a text's label, or where a text can have several, whether one label applies to it.
    """
    same = applying_labels(loaded, reference) == applying_labels(loaded, other)
    return float(same.mean() if loaded.multi_label else same.all(axis=1).mean())


def probability_distance(loaded: LoadedClassifier, reference: Logits, other: Logits) -> NDArray[np.float64]:
    """How far the probabilities are apart, from 0 to 1, float64 (texts, labels)."""
    both = [probabilities(logits, multi_label=loaded.multi_label) for logits in (reference, other)]
    return np.abs(both[0] - both[1])
