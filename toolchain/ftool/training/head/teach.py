"""Teaching a trained head one more example, without a second look at the training data."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

_RATE = 0.5  # how far one update moves the example's logits, as a share of its error
_UPDATES = 200  # at most
_MARGIN = 0.5  # single-label: the probability that the label must reach


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What teaching one example took."""

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

    `features` is what the head takes, float32 (hidden,). With `thresholds` None, softmax: the one label must reach
    a probability of one half. Otherwise, sigmoids: each of `labels` must reach its threshold, and the labels not
    named are left alone. Only weights along the example's own features change, and no bias, so that what is unlike
    the example keeps its answer; the step is divided by the features' squared length, which makes it the same for
    every encoder (normalised least mean squares, Widrow and Hoff 1960).
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
    """The gradient of the loss by the logits, float32 (labels,), or None once the example is right."""
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
