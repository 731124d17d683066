"""Which labels logits stand for, by the runtime's own post-processing: torch and bundle can't drift apart."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ftool_export.classifier import LoadedClassifier
from ftool_runtime.tasks.text_classification import classify


def applying_labels(loaded: LoadedClassifier, logits: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The labels that apply to every text, bool (texts, labels), of float32 logits (texts, labels)."""
    found = classify(logits, loaded.labels, multi_label=loaded.multi_label, thresholds=loaded.thresholds)
    return one_hot([answer.labels for answer in found], loaded.labels)


def one_hot(answers: Sequence[Sequence[str]], labels: Sequence[str]) -> NDArray[np.bool_]:
    """bool (texts, labels), from the names of the labels that apply to every text."""
    column = {label: index for index, label in enumerate(labels)}
    result = np.zeros((len(answers), len(labels)), dtype=np.bool_)
    for row, names in enumerate(answers):
        result[row, [column[name] for name in names]] = True
    return result
