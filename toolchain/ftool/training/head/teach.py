"""Teach a trained head one more example, without the training data."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

_RATE = 0.5  # share of the error by which one update moves the example's logits
_UPDATES = 200  # the most updates for one example
_MARGIN = 0.5  # single-label: the probability that the label must reach


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """The result of teaching one example: the number of updates, and whether the example now gets its labels."""

    updates: int
    learned: bool


def teach_head(
    head: nn.Linear,
    features: Tensor,
    labels: list[int],
    *,
    thresholds: tuple[float, ...] | None,
) -> Lesson:
    """Change `head` in place until the example has its labels, by gradient steps on its cross-entropy.

    Weights change only in the direction of the example's features, and the bias does not change, so that dissimilar
    texts keep their answers. The step is divided by the features' squared length, so that one rate suits every
    encoder (normalised least mean squares, Widrow and Hoff 1960).

    Args:
        head: the linear layer that computes the logits.
        features: the head's input for the example, float32 (hidden,).
        labels: the indices of the example's labels.
        thresholds: None for a model of one label per text (softmax); the label must then reach a probability of one
            half. For a model of several labels per text (sigmoid), the threshold of each of the model's labels; each of
            `labels` must then reach its threshold, and the weights of other labels don't change.
    """
    step = _RATE / float(features.square().sum())
    with torch.no_grad():
        for update in range(_UPDATES + 1):
            error = _error(head(features), labels, thresholds)
            if error is None:
                return Lesson(updates=update, learned=True)
            head.weight -= step * torch.outer(error, features)
    return Lesson(updates=_UPDATES, learned=False)


def _error(logits: Tensor, labels: list[int], thresholds: tuple[float, ...] | None) -> Tensor | None:
    """Return the loss's gradient with respect to the logits, float32 (labels,); None if the example has its labels."""
    if thresholds is None:
        scores = logits.softmax(dim=0)
        if scores[labels[0]] >= _MARGIN:
            return None
        scores[labels[0]] -= 1.0
        return scores
    scores = logits.sigmoid()
    error = torch.zeros_like(scores)
    error[labels] = scores[labels] - 1.0
    reached = all(float(scores[label]) >= thresholds[label] for label in labels)
    return None if reached else error
