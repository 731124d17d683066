"""Unpack compressed files without filling the memory: a few kilobytes can be made to unpack to terabytes."""

import zipfile
from typing import Final, Protocol

_RATIO: Final = 200  # times its packed size; tables of text rarely shrink to a twentieth
_ALWAYS: Final = 2**28  # bytes that are unpacked in any case: very regular files shrink more


class TooLargeError(Exception):
    """Raised for a file that unpacks to far more than files with such content do. The message is a sentence's end."""


class Readable(Protocol):
    """A binary stream that unpacks as it is read."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, fewer only at the end."""


def unpack(packed: Readable, size: int) -> bytes:
    """Return what `packed` unpacks to. `size` is the number of packed bytes.

    Raises TooLargeError before more than 200 times `size`, and more than 256 MiB, are unpacked.
    """
    most = max(_ALWAYS, _RATIO * size)
    content = packed.read(most + 1)
    if len(content) > most:
        raise TooLargeError(_problem(f"more than {most:,}", size))
    return content


def check_archive(archive: zipfile.ZipFile, size: int) -> None:
    """Raise TooLargeError if all files of a zip archive of `size` bytes unpack to more than `unpack` allows.

    The sizes are those that the archive names; zipfile reads no more of a file than that.
    """
    total = sum(member.file_size for member in archive.infolist())
    if total > max(_ALWAYS, _RATIO * size):
        raise TooLargeError(_problem(f"{total:,}", size))


def _problem(unpacked: str, size: int) -> str:
    return f"unpacks from {size:,} bytes to {unpacked}, which no file of texts does; unpack it yourself if you trust it"
