"""Out-of-fold logits: for every example, those of a head that was trained on frozen features without this example."""

import logging
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold
from torch import nn

from ftool.data.dataset import Dataset
from ftool.data.rows.labels import LabelledText
from ftool.data.rows.tagged_text import TaggedText
from ftool.data.splits import random_part, same_text
from ftool.training.hardware import device_name
from ftool.training.head.features import cached_features
from ftool.training.head.fit import STRENGTHS, LabelledFeatures, fit_at, head_logits
from ftool.training.losses import ClassificationLoss, encode_targets
from ftool.training.tagger import word_features
from ftool_export.checkpoints.classifier import LoadedClassifier
from ftool_export.checkpoints.tagger import LoadedTagger

log = logging.getLogger(__name__)

FOLDS: Final = 5
_MOST_NUMBERS: Final = 100_000_000  # features of all words: 400 MB


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
    folds = (GroupKFold if multi_label else StratifiedGroupKFold)(
        min(FOLDS, len(set(groups))), shuffle=True, random_state=seed
    )
    every = LabelledFeatures(features=features, targets=targets)
    loss = ClassificationLoss(multi_label=multi_label)
    return _held_out_logits(every, groups, len(data.labels), loss, folds), targets.numpy(), examples


@dataclass(frozen=True, kw_only=True)
class JudgedText:
    """A text whose words were judged by a head that was trained without the text.

    Attributes:
        split: the name of the text's split.
        example: the text.
        words: the positions of the judged words: those with a token of their own, int (judged words,).
        logits: the logits of the tags of these words, float32 (judged words, labels).
    """

    split: str
    example: TaggedText
    words: NDArray[np.int64]
    logits: NDArray[np.float32]


def out_of_fold_tags(loaded: LoadedTagger, data: Dataset[TaggedText], *, seed: int) -> list[JudgedText]:
    """Return the texts of all splits with out-of-fold logits of their words.

    `loaded` is a tagger that has not been trained on the data. Equal texts are always in the same fold. If the texts
    have so many words that their features would take more than 400 MB, a random part of the texts is judged.
    """
    texts = [(name, one) for name, split in data.splits.items() for one in split.examples]
    words = sum(len(one.words) for _, one in texts)
    share = _MOST_NUMBERS / max(words * loaded.model.head.in_features, 1)
    texts = [texts[place] for place in random_part(texts, share, seed)]
    loaded.model.to(device_name())
    judged = list(word_features(loaded, [one for _, one in texts]))
    loaded.model.to("cpu")
    number = {label: place for place, label in enumerate(loaded.labels)}
    targets = [
        number[one.tags[place]] for (_, one), (own, _) in zip(texts, judged, strict=True) for place in own
    ]
    names = np.unique([same_text(one.key) for _, one in texts], return_inverse=True)[1]
    logits = _held_out_logits(
        LabelledFeatures(
            features=np.concatenate([found for _, found in judged]), targets=torch.tensor(targets)
        ),
        np.repeat(names, [len(own) for own, _ in judged]),
        len(loaded.labels),
        ClassificationLoss(multi_label=False),
        GroupKFold(min(FOLDS, len(set(names))), shuffle=True, random_state=seed),
    )
    ends = np.cumsum([len(own) for own, _ in judged])
    return [
        JudgedText(
            split=name, example=one, words=np.array(own, dtype=np.int64), logits=logits[end - len(own) : end]
        )
        for (name, one), (own, _), end in zip(texts, judged, ends, strict=True)
    ]


def _held_out_logits(
    every: LabelledFeatures, groups: NDArray[np.int64], labels: int, loss: ClassificationLoss, folds: Any
) -> NDArray[np.float32]:
    """Return for each example the logits of a head that was trained on the other folds, float32 (examples, labels)."""
    features, targets = every.features, every.targets
    logits = np.zeros((len(features), labels), dtype=np.float32)
    parts = folds.split(features, None if loss.multi_label else targets.numpy(), groups)
    for part, (others, own) in enumerate(parts, 1):
        log.info("judging labels: part %d of %d", part, folds.get_n_splits())
        head = nn.Linear(features.shape[1], labels)
        known = LabelledFeatures(features=features[others], targets=targets[torch.from_numpy(others)])
        fit_at(head, known, loss, STRENGTHS[0])
        held_out = LabelledFeatures(features=features[own], targets=targets[torch.from_numpy(own)])
        logits[own] = head_logits(head, held_out)
    return logits
