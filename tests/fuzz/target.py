"""`Target`: a reader that is fuzzed, and what it may raise."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from ftool_runtime.errors import FtoolError, InputError, TimeLimitError
from tests.fuzz.spoil import Spoil

MOST_SECONDS: Final = 5.0  # of processor time for an input
MOST_BYTES: Final = 2**29  # of memory that an input may add to the process

_BUNDLE: Final = "/bundle"  # the end of the folder of every bundle here

Read = Callable[[bytes], None]


class Prepared(NamedTuple):
    """A reader that is ready.

    Attributes:
        read: reads one content of the file; it may raise the target's `errors` only.
        seeds: valid contents.
    """

    read: Read
    seeds: Sequence[bytes]


@dataclass(frozen=True, kw_only=True)
class Target:
    """A reader that is fuzzed.

    Attributes:
        file: the name of the file that is spoiled, which error messages must hold.
        of: what the file belongs to, if several targets read a file of this name.
        reads: what is run on the file, for the table in docs/reliability.md.
        prepare: writes what the reader needs into an empty folder.
        spoil: changes a content so that it keeps its form.
        errors: the exceptions that the reader may raise.
        marks: strings of the format, for libFuzzer to insert.
        share: its share of all inputs, beside 1 for most targets: fewer for slow readers, more for fast ones.
    """

    file: str
    of: str = ""
    reads: str
    prepare: Callable[[Path], Prepared]
    spoil: Spoil
    errors: tuple[type[FtoolError], ...]
    marks: Sequence[str] = ()
    share: float = 1

    @property
    def name(self) -> str:
        """A name for the command line and the tests."""
        return f"{self.file} {self.of}".strip()

    def problem(self, error: BaseException) -> str | None:
        """Return what is wrong with an exception that the reader has raised; None if users may see it."""
        if not isinstance(error, self.errors):
            kind = type(error)
            return f"{kind.__module__}.{kind.__name__} instead of {' or '.join(one.__name__ for one in self.errors)}"
        if "\n" in str(error):
            return "an error of several lines"
        if not isinstance(error, InputError | TimeLimitError) and not any(
            name in str(error) for name in (self.file, _BUNDLE)
        ):
            return "an error that names neither the file nor its bundle"
        return None
