"""`PrefixFile`: the keys and values of a prefix in a file, so that a program does not compute them at every start.

The file is a magic line, the length of a header in 4 bytes, the header in JSON, a CRC-32 of the numbers in 4 bytes,
and the numbers, cache after cache. A header is accepted only if it is byte for byte the one that this program would
write, so that all sizes are known before anything is allocated.
"""

import json
import logging
import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from ftool_runtime.atomic import replacing_binary
from ftool_runtime.errors import InputError
from ftool_runtime.regular_files import open_regular
from ftool_runtime.session.decoder.decoder import Snapshot
from ftool_runtime.session.decoder.graph import CacheShape

logger = logging.getLogger(__name__)

_MAGIC: Final = b"ftool prefix cache\n"
_NUMBER: Final = struct.Struct("<I")
_LONGER: Final = 4096  # bytes by which another header may be longer than the expected one and still be read
_DIFFERENCES: Final = {
    "format": "it was written by another version of ftool-runtime",
    "bundle": "it is of another bundle, or of an earlier export",
    "onnxruntime": "it was computed by another version of onnxruntime",
    "processor": "it was computed on a processor with other instructions",
    "threads": "it was computed with another number of threads",
    "tokens": "it holds another prefix",
}


class PrefixFile:
    """A file for the caches of one prefix."""

    def __init__(self, path: Path, computed_by: Mapping[str, Any], caches: Sequence[CacheShape]) -> None:
        """Describe the file at `path`, which need not exist.

        Args:
            path: the file, in a folder that exists.
            computed_by: everything besides the tokens that the numbers depend on, as JSON values.
            caches: the graph's caches, in the order of a snapshot.

        Raises InputError if `path` is something else than a prefix cache, or its folder does not exist.
        """
        self.path = path
        self._computed_by = computed_by
        self._caches = caches
        _check_path(path)

    def read(self, ids: Sequence[int]) -> Snapshot | None:
        """Return the caches of the prefix `ids`; None if the file does not exist.

        Also returns None, and logs a warning with the reason, if the file is damaged, or holds another prefix or caches
        that this bundle, onnxruntime or processor would compute differently. Raises InputError for another kind of
        file.
        """
        try:
            with open_regular(self.path) as file:
                return self._read(file, ids)
        except FileNotFoundError:
            return None
        except OSError as error:
            problem = f"it can't be read ({error.strerror})"
        except _UnusableError as error:
            problem = str(error)
        logger.warning("%s is not used: %s; the prefix is computed", self.path, problem)
        return None

    def write(self, ids: Sequence[int], snapshot: Snapshot) -> None:
        """Replace the file with the caches `snapshot` of the prefix `ids`, whole or not at all.

        Logs a warning if that fails: the prefix must then be computed again at the next start.
        """
        header, checksum = self._header(ids), 0
        for cache in snapshot:
            checksum = zlib.crc32(cache.data, checksum)
        try:
            with replacing_binary(self.path) as file:
                file.write(_MAGIC + _NUMBER.pack(len(header)) + header + _NUMBER.pack(checksum))
                for cache in snapshot:
                    file.write(cache.data)
        except OSError as error:
            logger.warning("the prefix can't be saved in %s: %s", self.path, error.strerror)

    def _header(self, ids: Sequence[int]) -> bytes:
        values = {
            "format": 1,
            **self._computed_by,
            "dtype": np.dtype(np.float32).str,  # with the order of bytes
            "caches": [[cache.name, cache.heads, cache.head_dim] for cache in self._caches],
            "tokens": [int(token) for token in ids],
        }
        return json.dumps(values, separators=(",", ":")).encode()

    def _read(self, file: BinaryIO, ids: Sequence[int]) -> Snapshot:
        expected = self._header(ids)
        _check_magic(self.path, file.read(len(_MAGIC)))
        length = _number(file)
        if length > len(expected) + _LONGER:
            raise _UnusableError("its header is too long for this prefix")
        header = file.read(length)
        if header != expected:
            raise _UnusableError(_difference(header, json.loads(expected)))
        checksum = _number(file)
        numbers = len(ids) * sum(cache.heads * cache.head_dim for cache in self._caches)
        size, stated = os.fstat(file.fileno()).st_size, file.tell() + 4 * numbers
        if size != stated:
            raise _UnusableError(f"it has {size} bytes instead of {stated}")
        snapshot, found = [], 0
        for cache in self._caches:
            values = np.empty((1, cache.heads, len(ids), cache.head_dim), np.float32)
            if file.readinto(values.data) != values.nbytes:  # type: ignore[attr-defined]
                raise _UnusableError("it ends early")
            found = zlib.crc32(values.data, found)
            snapshot.append(values)
        if found != checksum or not all(np.isfinite(values).all() for values in snapshot):
            raise _UnusableError("its numbers are damaged")
        return snapshot


class _UnusableError(Exception):
    """Raised if a file's content can't be used; the message says why."""


def _check_path(path: Path) -> None:
    """Raise InputError unless `path` is a prefix cache, or a new file in an existing folder."""
    try:
        if not path.exists():
            if not path.parent.is_dir():
                raise InputError(
                    f"the folder {path.parent} of the prefix cache {path.name} does not exist; create it"
                )
            return
        if not path.is_file():
            raise InputError(f"{path} is not a file; name a file for the prefix cache")
        with open_regular(path) as file:
            begin = file.read(len(_MAGIC))
    except OSError as error:
        raise InputError(f"can't read the prefix cache {path}: {error.strerror}") from error
    try:
        _check_magic(path, begin)
    except _UnusableError:
        return  # what is left of a truncated prefix cache


def _check_magic(path: Path, begin: bytes) -> None:
    """Check a file's first bytes. Raises InputError, so that no other file is ever overwritten."""
    if not _MAGIC.startswith(begin):
        raise InputError(
            f"{path} is not a prefix cache, and is not overwritten; name another file, or delete it"
        )
    if begin != _MAGIC:
        raise _UnusableError("it is truncated")


def _number(file: BinaryIO) -> int:
    raw = file.read(_NUMBER.size)
    if len(raw) != _NUMBER.size:
        raise _UnusableError("it is truncated")
    number: int = _NUMBER.unpack(raw)[0]
    return number


def _difference(header: bytes, expected: Mapping[str, Any]) -> str:
    """Return why a header is not the expected one."""
    try:
        found = json.loads(header)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        return "its header is damaged"
    name = next((name for name, value in expected.items() if found.get(name) != value), "")
    return _DIFFERENCES.get(name, "its header is damaged")
