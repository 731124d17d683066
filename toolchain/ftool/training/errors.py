"""The error of training."""

from ftool_runtime.errors import FtoolError


class TrainingError(FtoolError):
    """A training run can't start, continue or be saved; the message says what to change."""
