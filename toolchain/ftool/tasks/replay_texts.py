"""Choose the training texts whose features a bundle keeps that can be taught on the device."""

import random
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ftool.data.dataset import Split
from ftool.data.rows.labels import LabelledText

if TYPE_CHECKING:
    from ftool_export.teaching import ReplayTexts

_FOR_EACH: Final = 20  # texts of each label
_MOST: Final = 4000  # texts in all
_SEED: Final = 13


def replay_texts(loaded: Any, split: Split[LabelledText]) -> "ReplayTexts":
    """Return up to 20 texts of each of the model's labels, and up to about 4,000 in all, at random from `split`.

    `loaded` is a `LoadedClassifier`. Labels that it does not know are left out.
    """
    from ftool_export.teaching import ReplayTexts
    from ftool_runtime.teaching.replay import choose_rows

    examples = random.Random(_SEED).sample(list(split.examples), len(split.examples))
    column = {label: index for index, label in enumerate(loaded.labels)}
    targets = np.zeros((len(examples), len(column)), np.bool_)
    for row, one in enumerate(examples):
        targets[row, [column[label] for label in one.labels if label in column]] = True
    chosen = choose_rows(targets, _FOR_EACH, _MOST)
    return ReplayTexts([examples[row].input for row in chosen], targets[chosen])
