"""Report the progress of Trainer with a bar and log lines, and stop if the loss is not a finite number."""

import logging
import math
import time
from contextlib import ExitStack
from typing import Any, Final, Self

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ftool.errors import TrainingError
from ftool.terminal import Show, has_bars, progress_bar

log = logging.getLogger(__name__)

_TITLES: Final = {  # what Trainer logs, and what it is called
    "loss": "loss",
    "eval_loss": "loss on validation",
    "eval_score": "score on validation",
}


class ReportProgress(TrainerCallback):  # type: ignore[misc]
    """A Trainer callback that shows a progress bar and logs losses; a context manager that removes the bar at its end.

    It replaces the callbacks of Trainer that print to standard output, which is only for results.
    """

    def __init__(self) -> None:
        self._bar = ExitStack()
        self._show: Show | None = None
        self._note = ""  # the last loss, which stands beside the bar
        self._began, self._first = time.monotonic(), 0  # when this process began, and at which update

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def on_train_begin(self, _args: TrainingArguments, state: TrainerState, *_: Any, **__: Any) -> None:
        """Show the bar; Trainer calls this before the first update."""
        self._began, self._first = time.monotonic(), state.global_step
        if state.is_world_process_zero:
            bar = progress_bar("training", state.max_steps, "updates", done=state.global_step, lines=False)
            self._show = self._bar.enter_context(bar)

    def on_step_end(self, _args: TrainingArguments, state: TrainerState, *_: Any, **__: Any) -> None:
        """Advance the bar; Trainer calls this after each update."""
        if self._show is not None:
            self._show(state.global_step, self._note)

    def on_log(
        self,
        _args: TrainingArguments,
        state: TrainerState,
        _control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Log the losses and scores in `logs`; Trainer calls this for each entry of its log.

        On a terminal, the loss of training stands beside the bar, and only scores get lines. Raises TrainingError for a
        loss that is not a finite number.
        """
        logs = logs or {}
        if not math.isfinite(logs.get("loss", 0.0)):
            raise TrainingError(
                f"the loss is no longer a number at update {state.global_step}; lower train.learning_rate"
            )
        if state.is_world_process_zero:
            shown = ", ".join(f"{title} {logs[name]:.4g}" for name, title in _TITLES.items() if name in logs)
            if "loss" in logs and has_bars():
                self._note = shown
            elif shown:
                step = f"update {state.global_step}{_of(state.max_steps)}{self._left(state)}"
                log.info("%s: %s", step, shown)

    def _left(self, state: TrainerState) -> str:
        """Return how long the other updates will take at the pace so far, as text such as ", about 6 min left"."""
        done, others = state.global_step - self._first, state.max_steps - state.global_step
        if done <= 0 or others <= 0:
            return ""
        seconds = (time.monotonic() - self._began) / done * others
        return f", about {_duration(seconds)} left"


def _duration(seconds: float) -> str:
    """Return a duration in round numbers, such as "40 s", "6 min" or "2.5 h"."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _of(updates: int) -> str:
    """Return `updates`, the total, as text such as " of 300"; "" if the total is 0, before training starts."""
    return f" of {updates}" if updates else ""
