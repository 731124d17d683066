"""The tree of ftool's errors (applications catch its root), and `nearest` for suggestions in their messages."""

from collections.abc import Iterable


class FtoolError(Exception):
    """Root of ftool's errors. The message is one line and says how to fix the problem."""


class BundleError(FtoolError):
    """A folder is not a bundle, or the bundle is damaged, from a newer ftool, or can't be run by this runtime."""


class DeviceError(FtoolError):
    """The device or the threads asked for are not available here, or not for this bundle."""


class InputError(FtoolError, ValueError):
    """The caller passed something that can't be processed.

    Attributes:
        row: position in the call of the input that is to blame, from 0; None if no single input is.
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


def nearest(name: object, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the name in `known` that is most like `name`, for a message's "did you mean"; None if none is close.

    Args:
        name: what was given; anything but a string is compared by its `str`.
        known: the names that exist.
        cutoff: least similarity of a suggestion, 0 to 1, as `difflib.get_close_matches` counts it.
    """
    from difflib import get_close_matches  # only errors need it

    return next(iter(get_close_matches(str(name), list(known), n=1, cutoff=cutoff)), None)
