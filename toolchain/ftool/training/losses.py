"""Losses of classifiers: against labels, with class weights and label smoothing, against numbers, or a teacher."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (torch's own name for it)

from ftool.data.rows.labels import LabelledText
from ftool.errors import TrainingError

ClassWeights = Literal["none", "balanced"] | Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class ClassificationLoss:
    """The loss of a classifier's logits, averaged over examples and weighted by class.

    - one label per text: softmax cross-entropy, targets int64 (batch,), one weight per class;
    - several labels: binary cross-entropy summed over labels, targets float32 (batch, labels), weights that multiply
      only the losses of positive labels;
    - regression: squared error, averaged over the outputs, targets float32 (batch, outputs), weights that multiply the
      errors of the outputs.
    """

    multi_label: bool
    regression: bool = False
    weights: Tensor | None = None  # float32 (labels,)
    smoothing: float = 0.0  # share of the target spread over all labels (Szegedy et al. 2016)

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the batch's mean loss, weighted by class: float32 ()."""
        return self.sum(logits, targets) / self.weight_of(targets)

    def sum(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the sum of a batch's weighted losses, float32 (), which can be added to the sums of other batches."""
        if self.regression:
            errors = (logits - targets) ** 2
            weighted = errors if self.weights is None else errors * self.weights.to(logits.device)
            return weighted.sum() / logits.shape[1]
        weights = None if self.weights is None else self.weights.to(logits.device)
        if self.multi_label:
            smooth = targets * (1 - self.smoothing) + 0.5 * self.smoothing
            return F.binary_cross_entropy_with_logits(logits, smooth, pos_weight=weights, reduction="sum")
        return F.cross_entropy(
            logits, targets, weight=weights, label_smoothing=self.smoothing, reduction="sum"
        )

    def imitation(self, logits: Tensor, taught: Tensor, temperature: float) -> Tensor:
        """Return a batch's mean loss against the outputs of a teacher, `taught`: float32 ().

        It is 0 for equal outputs. Labels: `softened_divergence`; for several labels per text that of "label" and "not
        label", summed over labels. Regression: the squared error, as against targets. Class weights have no effect,
        because the teacher's answers follow from those that it was trained with. Both tensors are float32 (batch,
        outputs).
        """
        if self.regression:
            return self.sum(logits, taught) / len(logits)
        if self.multi_label:
            student, teacher = (torch.stack([one, torch.zeros_like(one)], dim=-1) for one in (logits, taught))
            return softened_divergence(student, teacher, temperature).sum(dim=-1).mean()
        return softened_divergence(logits, taught, temperature).mean()

    def weight_of(self, targets: Tensor) -> float:
        """Return the divisor that turns `sum` into a mean: the number of examples, weighted by class.

        For several labels per text, and for regression, it is the plain number of examples.
        """
        if self.multi_label or self.regression or self.weights is None:
            return float(len(targets))
        return float(self.weights.to(targets.device)[targets].sum())


def softened_divergence(logits: Tensor, taught: Tensor, temperature: float, *, dim: int = -1) -> Tensor:
    """Return temperature² x the divergence of a teacher's softened probabilities from a student's, without `dim`.

    Probabilities are those of logits / temperature over `dim`. The factor keeps the size of gradients the same at every
    temperature (Hinton, Vinyals and Dean 2015, Distilling the Knowledge in a Neural Network). The result has the shape
    of `logits` without `dim`; masked logits must be finite, such as -1e9, and the same in both.
    """
    student, teacher = ((one / temperature).log_softmax(dim) for one in (logits, taught))
    each = F.kl_div(student, teacher, reduction="none", log_target=True)
    return temperature**2 * each.sum(dim)


def encode_targets(
    examples: Sequence[LabelledText], labels: Sequence[str], *, multi_label: bool, regression: bool = False
) -> Tensor:
    """Return the examples' targets; every label of an example must be in `labels`.

    One label per text: the label's index, int64 (examples,). Several labels: 1 for each label of the example and 0 for
    the other labels, float32 (examples, labels). Regression: the numbers, float32 (examples, outputs).
    """
    if regression:
        return torch.tensor([one.scores for one in examples], dtype=torch.float32)
    number = {label: position for position, label in enumerate(labels)}
    if not multi_label:
        return torch.tensor([number[one.labels[0]] for one in examples], dtype=torch.int64)
    targets = torch.zeros(len(examples), len(labels))
    for row, one in enumerate(examples):
        targets[row, [number[label] for label in one.labels]] = 1.0
    return targets


def output_weights(targets: Tensor) -> Tensor | None:
    """Return a weight for each output of a regressor, float32 (outputs,), or None for a single output.

    A weight is 1 / the variance of the targets, so that numbers on different scales count alike. `targets` is float32
    (examples, outputs).
    """
    if targets.shape[1] == 1:
        return None
    return 1 / targets.var(dim=0, unbiased=False)


def class_weights(setting: ClassWeights, targets: Tensor, labels: Sequence[str]) -> Tensor | None:
    """Return the weight of each class, float32 (labels,), or None for equal weights.

    "balanced" with one label per text: all examples / (classes x examples of the class), so that the mean weight of an
    example is 1. "balanced" with several labels: the square root of (examples without the label / examples with the
    label), because this ratio itself reaches hundreds for rare labels, which would outweigh the other labels. A table
    sets the weights of the labels that it names; other labels have weight 1. Raises TrainingError for an unknown label.
    """
    if setting == "none":
        return None
    if isinstance(setting, Mapping):
        return _given_weights(setting, labels)
    if targets.dim() == 1:
        counts = np.bincount(targets.numpy(), minlength=len(labels)).clip(min=1)
        weights = len(targets) / (len(labels) * counts)
    else:
        positives = targets.sum(dim=0).numpy().clip(min=1)
        weights = np.sqrt((len(targets) - positives) / positives)
    return torch.tensor(weights, dtype=torch.float32)


def _given_weights(table: Mapping[str, float], labels: Sequence[str]) -> Tensor:
    unknown = sorted(set(table) - set(labels))
    if unknown:
        raise TrainingError(
            f"train.class_weights names {unknown[0]!r}, which is not a label; labels are {', '.join(labels)}"
        )
    return torch.tensor([table.get(label, 1.0) for label in labels], dtype=torch.float32)
