"""Train a classifier's linear head on frozen features to its optimum, by L-BFGS (linear probing)."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ftool.training.losses import ClassificationLoss

log = logging.getLogger(__name__)

# Penalties on the squared weights, strongest first; each trial starts from the solution of the one before.
STRENGTHS = (1e-4, 3e-5, 1e-5, 3e-6, 1e-6)
_ITERATIONS = 150  # the most iterations per penalty
_NEARLY = 0.01  # one point of the main metric
_CHUNK = 16384  # rows whose logits are in memory at a time


@dataclass(frozen=True, kw_only=True)
class LabelledFeatures:
    """The encoder's features of texts, float32 (examples, hidden), and the targets from `losses.encode_targets`."""

    features: np.ndarray
    targets: Tensor

    def chunks(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the examples in order, in chunks that fit into memory."""
        for start in range(0, len(self.features), _CHUNK):
            rows = slice(start, start + _CHUNK)
            yield torch.from_numpy(np.array(self.features[rows])), self.targets[rows]

    def weight(self, loss: ClassificationLoss) -> float:
        """Return the number of examples, weighted by class: the divisor that turns a sum of losses into a mean."""
        return sum(loss.weight_of(targets) for _, targets in self.chunks())


@dataclass(frozen=True, kw_only=True)
class HeadTrial:
    """The result of training the head with one penalty, or of one epoch of training with one example per update."""

    strength: float  # 0 if there is no penalty
    train_loss: float  # without the penalty
    score: float  # the main metric on validation


@dataclass(frozen=True, kw_only=True)
class HeadResult:
    """The result of training the head.

    `start` is the trial whose head fine-tuning should start from: the first trial that scores within 0.01 of the best
    trial. `fit_head` tries the strongest penalty first. The best head may fit the training data so closely that little
    gradient is left for the encoder (banking77, test accuracy after one epoch: 0.912 from the best head, 0.923 from a
    more regularised head).
    """

    trials: tuple[HeadTrial, ...]
    best: HeadTrial
    start: HeadTrial
    start_weights: dict[str, Tensor]  # of the head


def fit_head(
    head: nn.Linear,
    train: LabelledFeatures,
    validation: LabelledFeatures,
    loss: ClassificationLoss,
    score: Callable[[np.ndarray], float],
    *,
    level: int = logging.INFO,
) -> HeadResult:
    """Train `head` in place on frozen features, with the penalty that scores best on validation.

    `score` takes the validation logits, float32 (examples, labels), and returns the main metric; for equal scores the
    stronger penalty wins. Features are centred and scaled during training, so that the same penalties suit every
    encoder; the resulting head works on the original features. The result is logged at `level`.
    """
    centre, scale = _location(train)
    probe = nn.Linear(head.in_features, head.out_features)
    nn.init.zeros_(probe.weight)
    nn.init.zeros_(probe.bias)
    trials: list[HeadTrial] = []
    weights: list[dict[str, Tensor]] = []
    for strength in STRENGTHS:
        train_loss = _minimise(probe, train, loss, strength, centre, scale)
        plain = _folded(probe, centre, scale)
        trial = HeadTrial(
            strength=strength, train_loss=train_loss, score=score(head_logits(plain, validation))
        )
        told = (strength, train_loss, trial.score)
        log.debug("head: penalty %g, train loss %.4f, validation %.4f", *told)
        trials.append(trial)
        weights.append(plain.state_dict())
    result = choose(head, trials, weights)
    log.log(level, "the head alone, on the frozen encoder, scores %.4f on validation", result.best.score)
    return result


def fit_at(head: nn.Linear, train: LabelledFeatures, loss: ClassificationLoss, strength: float) -> None:
    """Train `head` in place on frozen features, with one penalty, as `fit_head` does with each."""
    centre, scale = _location(train)
    probe = nn.Linear(head.in_features, head.out_features)
    nn.init.zeros_(probe.weight)
    nn.init.zeros_(probe.bias)
    _minimise(probe, train, loss, strength, centre, scale)
    head.load_state_dict(_folded(probe, centre, scale).state_dict())


def choose(head: nn.Linear, trials: list[HeadTrial], weights: list[dict[str, Tensor]]) -> HeadResult:
    """Load the weights of the best trial into `head`, and return the result; for equal scores the first trial wins."""
    best = max(range(len(trials)), key=lambda index: trials[index].score)
    start = next(i for i, trial in enumerate(trials) if trial.score >= trials[best].score - _NEARLY)
    head.load_state_dict(weights[best])
    return HeadResult(
        trials=tuple(trials), best=trials[best], start=trials[start], start_weights=weights[start]
    )


def head_logits(head: nn.Linear, examples: LabelledFeatures) -> np.ndarray:
    """Return the head's logits for all examples, float32 (examples, labels)."""
    with torch.inference_mode():
        return np.concatenate([head(features).numpy() for features, _ in examples.chunks()])


def _minimise(
    probe: nn.Linear,
    train: LabelledFeatures,
    loss: ClassificationLoss,
    strength: float,
    centre: Tensor,
    scale: float,
) -> float:
    """Train `probe` to minimise mean loss + `strength` x sum of squared weights; return the final mean loss."""
    optimizer = torch.optim.LBFGS(
        probe.parameters(), max_iter=_ITERATIONS, tolerance_change=1e-7, line_search_fn="strong_wolfe"
    )
    whole = train.weight(loss)
    unpenalised = 0.0

    def closure() -> float:
        nonlocal unpenalised
        optimizer.zero_grad()
        unpenalised = 0.0
        for features, targets in train.chunks():
            part = loss.sum(probe((features - centre) / scale), targets) / whole
            part.backward()  # type: ignore[no-untyped-call]
            unpenalised += part.item()
        penalty = strength * probe.weight.square().sum()
        penalty.backward()  # type: ignore[no-untyped-call]
        return unpenalised + penalty.item()

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return unpenalised


def _location(train: LabelledFeatures) -> tuple[Tensor, float]:
    """Return the mean of the features, float32 (hidden,), and their root mean square distance from this mean."""
    total, count = torch.zeros(train.features.shape[1], dtype=torch.float64), len(train.features)
    for features, _ in train.chunks():
        total += features.sum(dim=0, dtype=torch.float64)
    centre = (total / count).float()
    squares = sum(float((features - centre).square().sum()) for features, _ in train.chunks())
    return centre, max((squares / count) ** 0.5, 1e-6)


def _folded(probe: nn.Linear, centre: Tensor, scale: float) -> nn.Linear:
    """Return a head whose outputs for original features equal those of `probe` for centred and scaled features."""
    head = nn.Linear(probe.in_features, probe.out_features)
    with torch.no_grad():
        head.weight.copy_(probe.weight / scale)
        head.bias.copy_(probe.bias - head.weight @ centre)
    return head
