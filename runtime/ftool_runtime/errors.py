"""Every error ftool raises: one tree, whose root is all that an application needs to catch."""


class FtoolError(Exception):
    """Root of ftool's errors. Its text is one line for the person who can mend the cause."""


class BundleError(FtoolError):
    """A folder is no bundle, a damaged one, one from a newer ftool, or one that this runtime can't run."""


class DeviceError(FtoolError):
    """The device or the threads asked for are not to be had here, or not for this bundle."""


class InputError(FtoolError):
    """A caller gave something that can't be worked on.

    Attributes:
        row: position of the offending text in the call, from 0, where one text is to blame; None otherwise.
    """

    def __init__(self, message: str, *, row: int | None = None) -> None:
        super().__init__(message)
        self.row = row

    def __reduce__(self) -> tuple[object, ...]:
        return _input_error, (str(self), self.row)


def _input_error(message: str, row: int | None) -> InputError:
    return InputError(message, row=row)


class RuntimeMissingError(FtoolError):
    """onnxruntime, which does the computing, is not installed or can't be loaded."""


class ClosedError(FtoolError):
    """A model was called after `close()`."""


class OtherProcessError(FtoolError):
    """A loaded model was carried into another process, by fork or by pickling; it must be loaded there."""
