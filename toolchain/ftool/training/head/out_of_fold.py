"""Out-of-fold logits: for every example, those of a head that was trained on frozen features without this example."""

from typing import Any, Final

import numpy as np
import torch
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold
from torch import nn

from ftool.data.dataset import Dataset
from ftool.data.rows.labels import LabelledText
from ftool.data.splits import same_text
from ftool.training.hardware import device_name
from ftool.training.head.features import cached_features
from ftool.training.head.fit import STRENGTHS, LabelledFeatures, fit_at, head_logits
from ftool.training.losses import ClassificationLoss, encode_targets
from ftool_export.checkpoints.classifier import LoadedClassifier

FOLDS: Final = 5


def out_of_fold_logits(
    loaded: LoadedClassifier, data: Dataset[LabelledText], *, seed: int
) -> tuple[np.ndarray, np.ndarray, list[tuple[str, LabelledText]]]:
    """Return logits and targets of the examples of all splits, and the examples with the names of their splits.

    `loaded` is a classifier that has not been trained on the data: its encoder gives the features, which training on
    frozen features has already cached. Examples of one text are always in the same fold.
    """
    multi_label = data.facts["multi_label"]
    examples = [(name, one) for name, split in data.splits.items() for one in split.examples]
    loaded.model.to(device_name())
    features = np.concatenate([cached_features(loaded, split.inputs) for split in data.splits.values()])
    loaded.model.to("cpu")
    targets = encode_targets([one for _, one in examples], data.labels, multi_label=multi_label)
    groups = np.unique([same_text(one.key) for _, one in examples], return_inverse=True)[1]
    folds = min(FOLDS, len(set(groups)))
    splitter: Any = (GroupKFold if multi_label else StratifiedGroupKFold)(
        folds, shuffle=True, random_state=seed
    )
    logits = np.zeros((len(examples), len(data.labels)), dtype=np.float32)
    for others, own in splitter.split(features, None if multi_label else targets.numpy(), groups):
        head = nn.Linear(features.shape[1], len(data.labels))
        known = LabelledFeatures(features=features[others], targets=targets[torch.from_numpy(others)])
        fit_at(head, known, ClassificationLoss(multi_label=multi_label), STRENGTHS[0])
        held_out = LabelledFeatures(features=features[own], targets=targets[torch.from_numpy(own)])
        logits[own] = head_logits(head, held_out)
    return logits, targets.numpy(), examples
