"""Train a classifier from few examples: contrast the encoder's features by label, then train the head on them.

The method is SetFit (Tunstall et al. 2022, Efficient Few-Shot Learning Without Prompts).
"""

import logging
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils.data import Sampler

from ftool.data.dataset import Dataset
from ftool.data.rows.labels import LabelledText
from ftool.errors import TrainingError
from ftool.recipe.sections import TrainSettings
from ftool.training.batches import SimilarLengths
from ftool.training.classifier import ClassifierObjective
from ftool.training.encoder import NetworkWithLoss
from ftool.training.head.fit import LabelledFeatures, head_logits
from ftool_export.checkpoints.classifier import LoadedClassifier, compute_features

log = logging.getLogger(__name__)

_WORD: Final = re.compile(r"[^\W\d_]+?(?=[A-Z][a-z]|[\W\d_]|$)|\d+")  # "cardArrival_2" is three words
_FEWEST_LETTERS: Final = 3
_PASSES: Final = 5


class SetFitObjective(ClassifierObjective):
    """Brings the features of texts with a common label together, and moves those of other texts apart.

    Each validation trains the head on the features of that moment, so the head is always that of its encoder. The
    default is one epoch and one validation at its end, because a few validation examples can't choose among epochs.
    The names of labels, if they are words, are examples too (`label_examples`).
    """

    def __init__(
        self, loaded: LoadedClassifier, data: Dataset[LabelledText], settings: TrainSettings
    ) -> None:
        """Prepare to train `loaded`. Raises TrainingError for data with numbers in place of labels."""
        if data.facts["regression"]:
            raise TrainingError(
                'train.method "setfit" learns from texts with equal labels, but this data has numbers '
                '(data.regression); set it to "full" or "head"'
            )
        super().__init__(loaded, _with_names(data), settings)

    def network(self) -> nn.Module:
        """Return the encoder up to the head's inputs, with its loss; the head gets no gradients."""
        self.head.requires_grad_(False)
        return NetworkWithLoss(self.loaded.model, self.loss, self.loaded.model.features)

    @cached_property
    def order(self) -> "Couples":
        """The order in which the training rows come in an epoch."""
        classes = [one.classes for one in self._data.train.examples]
        return Couples(classes, self.rows.lengths, self.settings.batch_size, self.settings.seed)

    @property
    def lengths(self) -> Sequence[int]:
        """A zero for each position of an epoch: `order` knows the lengths already."""
        return [0] * len(self.order)

    def trainer(self, network: nn.Module, arguments: Mapping[str, Any]) -> Any:
        """Return transformers' Trainer for the training rows, of which neighbours have a common label."""
        trainer = super().trainer(network, arguments)
        trainer.order = self.order
        return trainer

    def loss(self, features: Tensor, labels: Tensor, attention_mask: Tensor) -> Tensor:  # noqa: ARG002
        """Return the CoSENT loss (Su 2022) of all pairs of texts in a batch, float32 ().

        `features` are float32 (batch, hidden). The loss is small if pairs with more labels in common are more similar
        than pairs with fewer.
        """
        first, second = torch.triu_indices(len(features), len(features), offset=1, device=features.device)
        pairs = [features[first], features[second]]
        from sentence_transformers.sentence_transformer.losses import CoSENTLoss

        loss: Tensor = CoSENTLoss(None).compute_loss_from_embeddings(pairs, _in_common(labels)[first, second])
        return loss

    def begin(self) -> None:
        """Start from the base's encoder as it is."""

    def measure(self, network: Any) -> dict[str, float]:  # noqa: ARG002 (it contains the loaded model)
        """Train the head on the current features; return its loss and score on validation."""
        train, validation = (self._current(split) for split in ("train", "validation"))
        self.fit_head(train, validation, logging.DEBUG)
        return self.scores(head_logits(self.loaded.model.head, validation))

    def _current(self, split: str) -> LabelledFeatures:
        features = compute_features(self.loaded, self._data.split(split).inputs)
        return LabelledFeatures(features=features, targets=self._targets[split])


def label_examples(labels: Sequence[str]) -> list[LabelledText]:
    """Return an example for each label whose name is words: the words as its text, "card arrival" for card_arrival.

    A name is not words if it has fewer than three letters, all of them ASCII, or if it differs from the name of another
    label only in digits and punctuation, such as LABEL_0 and LABEL_1.
    """
    letters = {label: "".join(filter(str.isalpha, label)).casefold() for label in labels}
    uses = Counter(letters.values())
    return [
        LabelledText(text=" ".join(_WORD.findall(label)), labels=(label,))
        for label, left in letters.items()
        if uses[left] == 1 and left and (len(left) >= _FEWEST_LETTERS or not left.isascii())
    ]


def _with_names(data: Dataset[LabelledText]) -> Dataset[LabelledText]:
    """Return the data with examples for the names of labels in the training split, unless inputs are pairs."""
    named = [] if data.facts["pairs"] else label_examples(data.labels)
    if named:
        log.info("setfit: the names of %d of %d labels are examples too", len(named), len(data.labels))
    train = replace(data.train, examples=[*data.train.examples, *named])
    return replace(data, splits={**data.splits, "train": train})


def _in_common(labels: Tensor) -> Tensor:
    """Return the share of each two texts' labels that both have, float32 (batch, batch); 1 if neither has any."""
    if labels.dim() == 1:
        return (labels[:, None] == labels).float()
    both = labels @ labels.T
    either = labels.sum(dim=1, keepdim=True) + labels.sum(dim=1) - both
    return torch.where(either > 0, both / either.clamp(min=1), 1.0)


class Couples(Sampler[int]):
    """A shuffled order in which examples of one label are neighbours two by two; it depends only on seed and epoch.

    An epoch is five passes over the examples. In each, an example has another partner. If a label has an odd number of
    examples, one of them has two partners. An example of several labels counts for one of them, which is drawn anew for
    each pass. Couples in a batch have similar lengths, as in `SimilarLengths`. Couples that don't fill a batch are left
    out, others in each pass. sentence-transformers' GroupByLabelBatchSampler knows one label for each example, and
    never draws a label's only example.
    """

    def __init__(
        self, classes: Sequence[Sequence[str]], lengths: Sequence[int], batch_size: int, seed: int
    ) -> None:
        """Prepare orders of the examples; `classes` has the labels of each, `lengths` its number of tokens."""
        self._classes = classes
        self._lengths = lengths
        self._in_batch = batch_size // 2  # couples
        self._seed = seed
        self._epoch = 0
        count = len(classes) // 2
        self._in_pass = count - count % self._in_batch or count  # couples

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch whose order `__iter__` yields next; Trainer calls this."""
        self._epoch = epoch

    def __len__(self) -> int:
        return _PASSES * 2 * self._in_pass

    def __iter__(self) -> Iterator[int]:
        for number in range(self._epoch * _PASSES, (self._epoch + 1) * _PASSES):
            couples = self._couples(torch.Generator().manual_seed(self._seed * 1_000_003 + number))
            longest = [max(self._lengths[row] for row in couple) for couple in couples]
            order = SimilarLengths(longest, self._in_batch, self._seed)
            order.set_epoch(number)
            for position in order:
                yield from couples[position]

    def _couples(self, generator: torch.Generator) -> list[tuple[int, int]]:
        """Return the couples of a pass, shuffled; the odd example of a label is with the first again."""
        alike: dict[str, list[int]] = defaultdict(list)
        for row in torch.randperm(len(self._classes), generator=generator).tolist():
            names = self._classes[row]
            drawn = int(torch.randint(max(len(names), 1), (), generator=generator))
            alike[names[drawn] if names else ""].append(row)
        couples: list[tuple[int, int]] = []
        for rows in alike.values():
            if len(rows) % 2:
                rows.append(rows[0])
            couples += zip(rows[::2], rows[1::2], strict=True)
        shuffled = torch.randperm(len(couples), generator=generator).tolist()
        return [couples[position] for position in shuffled[: self._in_pass]]
