"""Running the torch classifier over many texts, answers in the texts' own order."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ftool_export.classifier.checkpoint import LoadedClassifier
from ftool_export.encoder.inference import run_network


def compute_logits(loaded: LoadedClassifier, texts: Sequence[str]) -> NDArray[np.float32]:
    """The network's logits, float32 (texts, labels), in the order of `texts`."""
    return run_network(loaded, loaded.tokenize(texts), loaded.model.forward, loaded.model.width)


def compute_features(
    loaded: LoadedClassifier, texts: Sequence[str], *, out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """What the head takes, float32 (texts, hidden), in the order of `texts`; written into `out` if given."""
    rows, width = loaded.tokenize(texts), loaded.model.head.in_features
    return run_network(loaded, rows, loaded.model.features, width, out)


def count_truncated(loaded: LoadedClassifier, texts: Sequence[str]) -> int:
    """How many texts have more tokens than max_length, special ones included, so that their end is not read."""
    return sum(row.truncated for row in loaded.tokenize(texts))
