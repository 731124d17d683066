"""Inputs of a task with what their outputs mean: how a bundle is held against torch, whatever the task."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ftool_runtime.session.encoder_engine import Outputs


class Examples(Protocol):
    """Some inputs, and how outputs for all of them are compared and scored. Each task has its own.

    Outputs are those of all rows of all inputs, in order (`LoadedEncoder.rows`). What an answer is decides the
    runtime's own post-processing.
    """

    @property
    def inputs(self) -> Sequence[Any]:
        """What the runtime's model is called with, as JSON values."""

    @property
    def metric(self) -> str | None:
        """The name of the task's main metric, of which more is better; None where the inputs have no labels."""

    def score(self, outputs: Outputs) -> float:
        """The main metric; asked for only where there is one."""

    def same(self, reference: Outputs, other: Outputs) -> NDArray[np.bool_]:
        """Which answers are the same, (inputs, parts): an answer may have parts that count apart, such as labels."""

    def distances(self, reference: Outputs, other: Outputs) -> NDArray[np.float64]:
        """How far the answers of each input are apart, (inputs,), from 0 to 1: the largest change of a probability."""


def shown(given: Any, longest: int = 100) -> str:
    """An input for a person to look at, on one line."""
    text = given if isinstance(given, str) else " | ".join(str(value) for value in given.values())
    return repr(text[:longest])
