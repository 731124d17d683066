"""Train a classifier's head on frozen features, one labelled example per update."""

import logging
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from ftool.recipe.sections import TrainSettings
from ftool.training.head.fit import HeadResult, HeadTrial, LabelledFeatures, choose, head_logits
from ftool.training.losses import ClassificationLoss

log = logging.getLogger(__name__)


def fit_head_online(
    head: nn.Linear,
    train: LabelledFeatures,
    validation: LabelledFeatures,
    loss: ClassificationLoss,
    score: Callable[[np.ndarray], float],
    settings: TrainSettings,
) -> HeadResult:
    """Train `head` in place from zero with Adam, one example per update, in an order seeded by `settings.seed`.

    The learning rate falls linearly to zero. `head` ends with the weights of the epoch that scores best on validation.
    """
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    optimizer = torch.optim.Adam(head.parameters(), lr=settings.head_learning_rate)
    epochs = max(1, round(settings.epochs))
    decay = torch.optim.lr_scheduler.LinearLR(
        optimizer, start_factor=1.0, end_factor=0.0, total_iters=epochs * len(train.features)
    )
    generator = torch.Generator().manual_seed(settings.seed)
    trials: list[HeadTrial] = []
    weights: list[dict[str, torch.Tensor]] = []
    for epoch in range(1, epochs + 1):
        train_loss = _epoch(head, train, loss, optimizer, decay, generator)
        trial = HeadTrial(strength=0.0, train_loss=train_loss, score=score(head_logits(head, validation)))
        log.info("head: epoch %d, train loss %.4f, validation %.4f", epoch, train_loss, trial.score)
        trials.append(trial)
        weights.append({name: value.clone() for name, value in head.state_dict().items()})
    return choose(head, trials, weights)


def _epoch(
    head: nn.Linear,
    train: LabelledFeatures,
    loss: ClassificationLoss,
    optimizer: torch.optim.Optimizer,
    decay: torch.optim.lr_scheduler.LRScheduler,
    generator: torch.Generator,
) -> float:
    """Train `head` on each example once, with one update per example; return the mean loss."""
    total = 0.0
    for row in torch.randperm(len(train.features), generator=generator).tolist():
        optimizer.zero_grad()
        logits = head(torch.from_numpy(np.array(train.features[row : row + 1])))
        value = loss.sum(logits, train.targets[row : row + 1])
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        decay.step()
        total += value.item()
    return total / len(train.features)
