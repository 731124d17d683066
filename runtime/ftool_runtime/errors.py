"""Exceptions of ftool, all derived from FtoolError, and `nearest` for suggestions in their messages."""

from collections.abc import Iterable


class FtoolError(Exception):
    """Base class of ftool's exceptions. The message is one line and says how to fix the problem."""


class BundleError(FtoolError):
    """A folder is not a bundle, or the bundle is damaged, made by a newer ftool, or not supported by this runtime."""


class DeviceError(FtoolError):
    """The requested device is not available here, or not for this bundle."""


class InputError(FtoolError, ValueError):
    """The caller passed something that can't be processed.

    Attributes:
        row: position in the call of the input that caused the error, from 0; None if no single input did.
    """

    def __init__(self, message: str, *, row: int | None = None) -> None:
        super().__init__(message)
        self.row = row

    def __reduce__(self) -> tuple[object, ...]:
        return _input_error, (str(self), self.row)


def _input_error(message: str, row: int | None) -> InputError:
    return InputError(message, row=row)


class RuntimeMissingError(FtoolError):
    """A package that is needed, such as onnxruntime, is not installed or can't be loaded."""


class ClosedError(FtoolError):
    """A model was called after `close()`."""


class OtherProcessError(FtoolError):
    """A loaded model was used in another process, after a fork or by pickling; load it there instead."""


def nearest(name: object, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the name in `known` that is most similar to `name`, for "did you mean"; None if none is similar.

    Args:
        name: the given name; anything but a string is compared by its `str`.
        known: the names that exist.
        cutoff: the least similarity of a suggestion, 0 to 1, as in `difflib.get_close_matches`.
    """
    from difflib import get_close_matches  # needed only for errors

    return next(iter(get_close_matches(str(name), list(known), n=1, cutoff=cutoff)), None)
