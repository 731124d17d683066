"""Experiment trackers (TensorBoard, MLflow, W&B), to which Trainer sends losses and scores besides the log."""

import importlib.util
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from ftool_runtime.errors import RuntimeMissingError

LOGS: Final = "logs"  # in a model folder: TensorBoard's event files, a folder for each run
_PACKAGES: Final = {
    "tensorboard": ("tensorboard", "tensorboardX"),
    "mlflow": ("mlflow",),
    "wandb": ("wandb",),
}


def check_trackers(trackers: Sequence[str]) -> None:
    """Raise RuntimeMissingError, which names the package, if a tracker's package is not installed."""
    for tracker in trackers:
        packages = _PACKAGES[tracker]
        if not any(map(importlib.util.find_spec, packages)):
            raise RuntimeMissingError(
                f'train.report_to = "{tracker}" needs the package {" or ".join(packages)}, which is not installed: '
                f"pip install {packages[0]}"
            )


def tracking_arguments(trackers: Sequence[str], folder: Path) -> dict[str, Any]:
    """Return keyword arguments for TrainingArguments; the run has the name of the model folder that `folder` is in."""
    return {"report_to": list(trackers) or "none", "run_name": folder.resolve().parent.name}


def place_logs(trainer: Any, folder: Path) -> None:
    """Let TensorBoard's event files be written to logs/ beside `folder`, the folder of checkpoints, which is deleted.

    The environment variable TENSORBOARD_LOGGING_DIR names another folder.
    """
    from transformers.integrations import TensorBoardCallback

    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, TensorBoardCallback) and callback.logging_dir is None:
            callback.logging_dir = str(folder.resolve().parent / LOGS / time.strftime("%Y-%m-%d_%H-%M-%S"))
