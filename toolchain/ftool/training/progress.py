"""Telling how far Trainer is: a bar on a terminal, log lines anywhere, an error for a broken loss."""

import logging
import math
import sys
from typing import Any

from tqdm import tqdm  # type: ignore[import-untyped]
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ftool.training.errors import TrainingError

log = logging.getLogger(__name__)


class ReportProgress(TrainerCallback):  # type: ignore[misc]
    """Trainer's own callbacks print to standard output, which belongs to results."""

    def __init__(self) -> None:
        self._bar: Any = None

    def on_train_begin(self, _args: TrainingArguments, state: TrainerState, *_: Any, **__: Any) -> None:
        """Called by Trainer before the first update."""
        if state.is_world_process_zero and sys.stderr.isatty():
            self._bar = tqdm(
                total=state.max_steps, initial=state.global_step, unit="update", leave=False, file=sys.stderr
            )

    def on_step_end(self, _args: TrainingArguments, state: TrainerState, *_: Any, **__: Any) -> None:
        """Called by Trainer after each update."""
        if self._bar is not None:
            self._bar.update(state.global_step - self._bar.n)

    def on_log(
        self,
        _args: TrainingArguments,
        state: TrainerState,
        _control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Called by Trainer with losses and metrics. Raises TrainingError for a loss that is no number."""
        logs = logs or {}
        if not math.isfinite(logs.get("loss", 0.0)):
            raise TrainingError(
                f"the loss is no longer a number at update {state.global_step}; lower train.learning_rate"
            )
        if state.is_world_process_zero:
            shown = ", ".join(
                f"{name} {logs[name]:.4g}" for name in ("loss", "eval_loss", "eval_score") if name in logs
            )
            if shown:
                log.info("update %d%s: %s", state.global_step, _of(state.max_steps), shown)

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Called by Trainer after the last update."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _of(updates: int) -> str:
    """How many there will be; unknown before training begins."""
    return f" of {updates}" if updates else ""
