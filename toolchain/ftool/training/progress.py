"""Report the progress of Trainer with a bar and log lines, and stop if the loss is not a finite number."""

import logging
import math
from contextlib import ExitStack
from typing import Any, Self

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ftool.errors import TrainingError
from ftool.terminal import Show, has_bars, progress_bar

log = logging.getLogger(__name__)


class ReportProgress(TrainerCallback):  # type: ignore[misc]
    """A Trainer callback that shows a progress bar and logs losses; a context manager that removes the bar at its end.

    It replaces the callbacks of Trainer that print to standard output, which is only for results.
    """

    def __init__(self) -> None:
        self._bar = ExitStack()
        self._show: Show | None = None
        self._note = ""  # the last loss, which stands beside the bar

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def on_train_begin(self, _args: TrainingArguments, state: TrainerState, *_: Any, **__: Any) -> None:
        """Show the bar; Trainer calls this before the first update."""
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
            shown = ", ".join(
                f"{name} {logs[name]:.4g}" for name in ("loss", "eval_loss", "eval_score") if name in logs
            )
            if "loss" in logs and has_bars():
                self._note = shown
            elif shown:
                log.info("update %d%s: %s", state.global_step, _of(state.max_steps), shown)


def _of(updates: int) -> str:
    """Return `updates`, the total, as text such as " of 300"; "" if the total is 0, before training starts."""
    return f" of {updates}" if updates else ""
