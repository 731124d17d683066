"""Teach a classifier on the device: new examples and new labels, in numpy, beside a bundle that stays as it is."""

from typing import Final

MAX_LOSS_RISE: Final = (
    0.05  # nats, by which all lessons may raise the mean cross-entropy of a bundle's replay
)
