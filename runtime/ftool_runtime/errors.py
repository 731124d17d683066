"""Exceptions of ftool, all derived from FtoolError, and `nearest`, which finds suggestions for their messages."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ftool_runtime.text.printable import printable

_LONGEST: Final = 4_000  # characters of a message
_LAST: Final = 1_000  # of these, how many are the message's end, which holds the remedy
_CUT: Final = " … "


def in_one_line(message: str) -> str:
    """Return a message on one line, with spaces in place of line ends and escapes in place of control characters.

    Names and values quoted from a file may hold both. Of a message of more than 4,000 characters, as with a name of a
    megabyte in it, a part in the middle is left out.
    """
    text = _shortened(message)  # first, so that a megabyte is not escaped in vain
    return _shortened(printable(" ".join(text.splitlines())))


def _shortened(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    return text[: _LONGEST - _LAST - len(_CUT)] + _CUT + text[-_LAST:]


class FtoolError(Exception):
    """Base class of ftool's exceptions. The message says how to fix the problem.

    It is one line of at most 4,000 characters (`in_one_line`).
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(in_one_line(str(message)))


class BundleError(FtoolError):
    """Raised if a folder is not a bundle, or the bundle is damaged, from a newer ftool, or not supported here."""


@contextmanager
def naming_bundle(folder: Path) -> Iterator[None]:
    """Within the block, put a bundle's folder before messages of BundleErrors that do not hold it."""
    try:
        yield
    except BundleError as error:
        if str(folder) in str(error):
            raise
        raise type(error)(f"{folder}: {error}") from error


class SignatureError(BundleError):
    """Raised if trusted keys are given, and none of them has signed the bundle as it is."""


class DeviceError(FtoolError):
    """Raised if the requested device is not available on this machine, or the bundle was not made for it."""


class InputError(FtoolError, ValueError):
    """Raised if the caller passes an input or option that can't be processed.

    Attributes:
        row: the position, from 0, of the input that caused the error; None if no single input caused the error.
    """

    def __init__(self, message: str, *, row: int | None = None) -> None:
        super().__init__(message)
        self.row = row

    def __reduce__(self) -> tuple[object, ...]:
        return _input_error, (str(self), self.row)


def _input_error(message: str, row: int | None) -> InputError:
    return InputError(message, row=row)


class LessonError(FtoolError):
    """Raised if a model can't learn a lesson, or would forget too much by it; it then stays as it was."""


class RuntimeMissingError(FtoolError):
    """Raised if a required package, such as onnxruntime, is not installed or can't be loaded."""


class ClosedError(FtoolError):
    """Raised if a model is called after `close()`."""


class TimeLimitError(FtoolError):
    """Raised if a call or a chat template takes more time than `Limits` allow."""


class BusyError(FtoolError):
    """Raised if another process is writing to the same file or folder; the message names its command."""


class OtherProcessError(FtoolError):
    """Raised if a loaded model is used in another process (forked or by pickling); load the model again there."""


def is_one_of(value: object, names: Iterable[str]) -> bool:
    """Return whether an option's value is one of `names`.

    A value of another type is none, even if it can't be compared with a text or looked up by it, like an array or list.
    """
    return isinstance(value, str) and value in names


def nearest(name: object, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the name in `known` that is most similar to `name`, for "did you mean"; None if none is similar.

    Args:
        name: the given name; a value of another type is converted with `str`.
        known: the names that exist.
        cutoff: the smallest similarity of a suggestion, 0 to 1, as in `difflib.get_close_matches`.
    """
    from difflib import get_close_matches  # needed only for errors

    return next(iter(get_close_matches(str(name), list(known), n=1, cutoff=cutoff)), None)
