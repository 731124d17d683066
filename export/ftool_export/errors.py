"""Errors of the export layer."""

from ftool_runtime.errors import FtoolError


class CheckpointError(FtoolError):
    """A checkpoint is missing, damaged or of the wrong kind for the task."""


class ExportError(FtoolError):
    """A checkpoint can't be exported, or a bundle can't be compared with one. The message gives reason and remedy."""


class GuardError(ExportError):
    """A stage of the export failed its check, so no bundle is written.

    Attributes:
        stage: the stage that failed its check, such as "capture" or "QuantizeMatMul".
    """

    def __init__(self, stage: str, message: str) -> None:
        super().__init__(f"export stopped after {stage}: {message}")
        self.stage = stage

    def __reduce__(self) -> tuple[object, ...]:
        return _guard_error, (self.stage, str(self))


class FarFromTorchError(GuardError):
    """The outputs of quantised graphs differ from torch's by far more than rounding of weights usually causes."""

    def __reduce__(self) -> tuple[object, ...]:
        return _far_from_torch_error, (self.stage, str(self))


def _far_from_torch_error(stage: str, text: str) -> FarFromTorchError:
    return FarFromTorchError(stage, text.removeprefix(f"export stopped after {stage}: "))


def _guard_error(stage: str, text: str) -> GuardError:
    return GuardError(stage, text.removeprefix(f"export stopped after {stage}: "))
