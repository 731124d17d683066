"""What is raised where training can't begin or go on."""

from ftool_runtime.errors import FtoolError


class TrainingError(FtoolError):
    """A training run can't start, go on or be written; the message says what to change."""
