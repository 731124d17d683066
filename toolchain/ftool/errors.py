"""The errors of the toolchain. All are subclasses of `FtoolError`, which the command line prints as one line."""

from typing import Any

from ftool_runtime.errors import FtoolError


class RecipeError(FtoolError):
    """Raised for a wrong recipe or a wrong override of a key; the message names the key, the value and the remedy."""


class DataError(FtoolError):
    """Raised for data that can't be used; the message names the file, the row or column, and the remedy."""


class BaseError(FtoolError):
    """Raised for a base model that can't be found or does not fit the task; the message names known bases."""


class TrainingError(FtoolError):
    """Raised if a training run can't start, continue or be saved; the message says what to change."""


class ModelFolderError(FtoolError):
    """Raised for a model folder without run/ or bundle/; the message names the command that creates it."""


class BenchError(FtoolError):
    """Raised if an engine can't be started or timed."""


class DocumentError(FtoolError):
    """Raised if a document can't be read; the message names the document, the place in the document and the remedy."""


class GateError(FtoolError):
    """Raised if nothing was exported because the bundle would lose too much quality; the message says what to change.

    Attributes:
        report: what was measured: an `ExportReport`, or the `Frontier` of an export with the precision "auto".
    """

    def __init__(self, message: str, report: Any) -> None:
        super().__init__(message)
        self.report = report


class PublishError(FtoolError):
    """Raised if a bundle can't be published; the message names the cause and the remedy."""


class ClusterError(FtoolError):
    """Raised if a cluster can't be reached, or its workers can't do the work; the message says what to change."""
