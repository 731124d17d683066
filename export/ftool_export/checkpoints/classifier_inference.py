"""Running the torch classifier over many texts, answers in the texts' own order."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftool_export.checkpoints.classifier import LoadedClassifier
from ftool_export.checkpoints.encoder import all_rows
from ftool_export.checkpoints.encoder_inference import run_network


def compute_logits(loaded: LoadedClassifier, inputs: Sequence[Any]) -> NDArray[np.float32]:
    """The network's logits, float32 (inputs, labels), in the order of `inputs`: texts, or dicts of two."""
    return run_network(loaded, all_rows(loaded, inputs), loaded.model.forward, loaded.model.width)


def compute_features(
    loaded: LoadedClassifier, inputs: Sequence[Any], *, out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """What the head takes, float32 (inputs, hidden), in the order of `inputs`; written into `out` if given."""
    rows, width = all_rows(loaded, inputs), loaded.model.head.in_features
    return run_network(loaded, rows, loaded.model.features, width, out)


def count_truncated(loaded: LoadedClassifier, inputs: Sequence[Any]) -> int:
    """How many inputs have more tokens than max_length, special ones included, so that their end is not read."""
    return sum(row.truncated for row in all_rows(loaded, inputs))
