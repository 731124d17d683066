"""Detect a file's text encoding, or that it is binary, and decode it."""

import codecs
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from charset_normalizer import from_bytes

from ftool.search.types import DocumentError

_CHUNK = 2**20  # bytes
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_DECLARED = re.compile(rb"""<meta[^>]+charset\s*=\s*["']?([\w-]+)""", re.IGNORECASE)
_DECLARED_WITHIN = 1024  # bytes; the HTML standard's limit
_LEGACY = ("cp1252", "gb18030", "big5", "cp932", "euc_jp", "cp949", "cp1251", "cp1256")
_SAMPLE = 2**16  # bytes
_FEW = 16  # bytes; too few for a guess
_NOT_WINDOWS_1252 = frozenset(b"\x81\x8d\x8f\x90\x9d")  # characters in latin-1 only
_NOT_FOR_FILES = frozenset({"unicode-escape", "raw-unicode-escape", "undefined", "idna", "punycode"})
_NEVER_IN_TEXT = frozenset({*range(0x20), 0x7F} - set(b"\t\n\v\f\r\x1b"))


@dataclass(frozen=True, slots=True)
class FileContent:
    """Hash and encoding of a file.

    Attributes:
        sha256: of its bytes, in hex.
        encoding: Python's name; None for a binary file.
        guessed: whether the encoding is a guess from the bytes.
        empty: whether the file contains only white space.
    """

    sha256: str
    encoding: str | None
    guessed: bool = False
    empty: bool = False


def examine(path: Path, encoding: str | None = None) -> FileContent:
    """Hash and encoding of the file at `path`. Reads it in chunks.

    The encoding is `encoding` if given, otherwise the first of these that fits: a byte order mark, UTF-8, an HTML
    page's declaration, UTF-16 without a byte order mark, a guess.

    Raises OSError if the file can't be read, DocumentError for an encoding that Python does not know.
    """
    statistics = _ByteStatistics()
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(_CHUNK), b""):
            statistics.add(chunk)
    digest = statistics.digest.hexdigest()
    if statistics.blank:
        return FileContent(digest, "utf-8", empty=True)
    if encoding is not None:
        return FileContent(digest, check_encoding(encoding))
    found = statistics.marked() or statistics.utf_8() or statistics.declared() or statistics.utf_16()
    if found is not None:
        return FileContent(digest, found)
    if statistics.binary():
        return FileContent(digest, None)
    return FileContent(digest, _guess(path) or statistics.western(), guessed=True)


def _guess(path: Path) -> str | None:
    """charset-normalizer's guess for the text after its ASCII start; None for Western text, which is mostly ASCII."""
    with path.open("rb") as file:
        sample = file.read(_CHUNK)
    first = next((place for place, byte in enumerate(sample) if byte >= 0x80), len(sample))
    sample = sample[first : first + _SAMPLE]
    if sum(byte >= 0x80 for byte in sample) < max(_FEW, len(sample) / 3):
        return None
    best = from_bytes(sample, cp_isolation=list(_LEGACY)).best()
    return None if best is None or best.encoding == "cp1252" else best.encoding


def read_decoded(path: Path, encoding: str) -> Iterator[str]:
    """The text of a file in chunks, without a byte order mark and with its own line ends.

    Raises DocumentError if a byte is not valid in the encoding.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    read = 0
    with path.open("rb") as file:
        for chunk in _chunks(file):
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeError as error:
                raise DocumentError(
                    f"{path}: not {encoding}: {_explained(error, read)}; "
                    "save it as UTF-8, or give its encoding with --encoding"
                ) from error
            read += len(chunk)
            if text:
                yield text


def _explained(error: UnicodeError, read: int) -> str:
    """Describe a decoding error in a chunk that starts at byte `read`."""
    if not isinstance(error, UnicodeDecodeError):
        return str(error)  # UTF-16 or UTF-32 without a byte order mark
    return f"byte 0x{error.object[error.start]:02x} near offset {read + error.start}"


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    yield from iter(lambda: file.read(_CHUNK), b"")
    yield b""  # tells the decoder that the file has ended


class _ByteStatistics:
    """Evidence for the encoding, collected chunk by chunk."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        self.seen: dict[int, int] = {}  # number of occurrences of each unusual byte
        self.blank = True
        self._start = b""
        self._utf_8: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder("utf-8")()
        self._size = 0
        self._odd_zeros = 0

    def add(self, chunk: bytes) -> None:
        self.digest.update(chunk)
        self.blank = self.blank and not chunk.strip()
        self._start = self._start or chunk[:_DECLARED_WITHIN]
        if not chunk.isascii() or b"\0" in chunk:
            for byte in _UNUSUAL:
                if count := chunk.count(byte):
                    self.seen[byte] = self.seen.get(byte, 0) + count
        self._odd_zeros += chunk[1::2].count(0)  # all chunks but the last have an even length
        self._size += len(chunk)
        self._decode(chunk)

    def _decode(self, chunk: bytes) -> None:
        try:
            if self._utf_8 is not None:
                self._utf_8.decode(chunk)
        except UnicodeDecodeError:
            self._utf_8 = None

    def marked(self) -> str | None:
        return next((name for mark, name in _BYTE_ORDER_MARKS.items() if self._start.startswith(mark)), None)

    def utf_8(self) -> str | None:
        whole = self._utf_8 is not None and not self._utf_8.getstate()[0]
        return "utf-8" if whole and not self.seen.get(0) else None

    def declared(self) -> str | None:
        """The encoding that an HTML page declares; UTF-8 if it declares UTF-16, as it was readable as ASCII."""
        found = None if self.seen.get(0) else _DECLARED.search(self._start)
        name = _text_encoding(found.group(1).decode("ascii")) if found else None
        return "utf-8" if name is not None and name.startswith("utf-16") else name

    def utf_16(self) -> str | None:
        """UTF-16 without a byte order mark: one of the two bytes of each ASCII character is zero, always the same."""
        zeros, odd = self.seen.get(0, 0), self._odd_zeros
        if self._size % 2 or zeros < self._size / 8:
            return None
        if odd > 0.95 * zeros:
            return "utf-16-le"
        return "utf-16-be" if odd < 0.05 * zeros else None

    def western(self) -> str:
        """The Western encoding that decodes all bytes seen."""
        return "latin-1" if _NOT_WINDOWS_1252 & self.seen.keys() else "windows-1252"

    def binary(self) -> bool:
        control = sum(count for byte, count in self.seen.items() if byte in _NEVER_IN_TEXT)
        return bool(self.seen.get(0)) or control > self._size / 100


_UNUSUAL = sorted(_NEVER_IN_TEXT | _NOT_WINDOWS_1252)


def check_encoding(encoding: str) -> str:
    """Python's own name of an encoding. Raises DocumentError for an unknown one."""
    name = _text_encoding(encoding)
    if name is None:
        raise DocumentError(f"unknown encoding {encoding!r}; try utf-8, gb18030 or shift_jis")
    return "utf-8-sig" if name == "utf-8" else name


def _text_encoding(encoding: str) -> str | None:
    """Python's own name of an encoding for text files; None for an unknown one."""
    try:
        codec = codecs.lookup(encoding)
    except (LookupError, ValueError):  # ValueError: a zero byte in the name
        return None
    usable = codec._is_text_encoding and codec.incrementaldecoder is not None
    return codec.name if usable and codec.name.replace("_", "-") not in _NOT_FOR_FILES else None
