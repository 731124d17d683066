"""Unpack compressed files without filling the memory: a few kilobytes can be made to unpack to terabytes."""

import zipfile
from collections.abc import Iterable, Iterator
from typing import Final, Protocol, TypeVar

T = TypeVar("T")

_RATIO: Final = 200  # times its packed size; tables of text rarely shrink to a twentieth
_ALWAYS: Final = 2**26  # bytes that are unpacked in any case: small files may shrink more


class TooLargeError(Exception):
    """Raised for a file that unpacks to far more than files with such content do. The message is a sentence's end."""


class Readable(Protocol):
    """A binary stream that unpacks as it is read."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, fewer only at the end."""


def unpack(packed: Readable, size: int) -> bytes:
    """Return what `packed` unpacks to. `size` is the number of packed bytes.

    Raises TooLargeError before more than 200 times `size`, and more than 64 MiB, are unpacked.
    """
    most = max(_ALWAYS, _RATIO * size)
    content = packed.read(most + 1)
    if len(content) > most:
        raise TooLargeError(_problem(f"more than {most:,}", size))
    return content


def check_archive(archive: zipfile.ZipFile, size: int) -> None:
    """Raise TooLargeError if all files of a zip archive of `size` bytes together unpack to more than `unpack` allows.

    The sizes are those that the archive names; zipfile reads no more of a file than that.
    """
    total = sum(member.file_size for member in archive.infolist())
    if total > max(_ALWAYS, _RATIO * size):
        raise TooLargeError(_problem(f"{total:,}", size))


def bounded(pieces: Iterable[T], size: int) -> Iterator[T]:
    """Yield the pieces of text of a document of `size` bytes, and other pieces among them.

    Raises TooLargeError when they have more characters than the bytes that `unpack` allows: a document may name a page
    a million times.
    """
    left = max(_ALWAYS, _RATIO * size)
    for piece in pieces:
        left -= len(piece) if isinstance(piece, str) else 0
        if left < 0:
            raise TooLargeError(_problem("more", size))
        yield piece


def _problem(unpacked: str, size: int) -> str:
    return f"unpacks from {size:,} bytes to {unpacked}, which no file of texts does; unpack it yourself if you trust it"
