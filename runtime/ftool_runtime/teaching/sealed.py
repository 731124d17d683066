"""Files of lessons and of taught heads: a header in JSON, arrays, and the SHA-256 of all of it.

A file is a magic line, the length of the header in 4 bytes, the header in JSON, the arrays, and the SHA-256 of
everything before it. The sizes of the arrays follow from the header, and are checked before they are read.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ftool_runtime.atomic import replacing_binary
from ftool_runtime.bundle.files import read_file
from ftool_runtime.errors import BundleError, InputError
from ftool_runtime.json_reader import JsonError, read_json
from ftool_runtime.schema import JSON
from ftool_runtime.teaching.replay import parts

_NUMBER: Final = struct.Struct("<I")
_DIGEST_BYTES: Final = 32
_LARGEST: Final = 2**28  # bytes of a file


class SealError(Exception):
    """Raised if a file can't be used; the message is what the file does, such as "is damaged"."""

    def of(self, path: Path) -> InputError:
        """Return the error for whoever named the file."""
        return InputError(f"{path} {self}; it is left as it is: name another file, or remove it")


def sealed(magic: bytes, header: Mapping[str, Any], arrays: bytes) -> bytes:
    """Return the content of a file, with its digest at the end."""
    import hashlib  # brings OpenSSL, which `import ftool_runtime` does not need

    text = json.dumps(header, ensure_ascii=False, allow_nan=False).encode()
    content = magic + _NUMBER.pack(len(text)) + text + arrays
    return content + hashlib.sha256(content).digest()


def write_sealed(path: Path, content: bytes) -> None:
    """Replace the file at `path`, whole or not at all. Raises OSError."""
    with replacing_binary(path) as file:
        file.write(content)


def read_sealed(path: Path, magic: bytes, kind: str, header: type[Any]) -> tuple[Any, bytes]:
    """Return the header of the file at `path`, as an instance of the dataclass `header`, and its arrays.

    Args:
        path: the file, which exists.
        magic: its first bytes.
        kind: what it is, for messages, such as "a file of lessons".
        header: a dataclass with the header's fields.

    Raises:
        InputError: the file can't be read.
        SealError: it is of another kind, or damaged.
    """
    import hashlib

    try:
        content = read_file(path.parent, path.name, _LARGEST)
    except BundleError as error:
        raise InputError(str(error)) from error
    if not content.startswith(magic):
        raise SealError(f"is not {kind}")
    begin = len(magic) + _NUMBER.size
    covered, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
    if len(covered) < begin or hashlib.sha256(covered).digest() != digest:
        raise SealError("is damaged: its content does not match its SHA-256")
    (length,) = _NUMBER.unpack(content[len(magic) : begin])
    try:
        values: Any = read_json(covered[begin : begin + length])
        return JSON.build(header, values), covered[begin + length :]
    except (JsonError, BundleError) as error:
        raise SealError(f"has a header that can't be used: {error}") from error


def arrays_of(content: bytes, sizes: Sequence[int], what: str) -> list[bytes]:
    """Return the arrays of a file, which have `sizes` bytes; `what` they are, for messages. Raises SealError."""
    if len(content) != sum(sizes):
        raise SealError(f"has arrays of another size than {what}")
    return parts(content, sizes)
