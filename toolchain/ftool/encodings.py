"""Detect whether a file is binary or which encoding its text has, and decode the text."""

import codecs
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from charset_normalizer import from_bytes

from ftool.errors import DocumentError
from ftool_runtime.regular_files import open_regular

_CHUNK = 2**20  # bytes read at a time
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_DECLARED = re.compile(rb"""<meta[^>]+charset\s*=\s*["']?([\w-]+)""", re.IGNORECASE)
_DECLARED_WITHIN = 1024  # bytes in which an HTML page must declare its encoding, by the HTML standard
_LEGACY = ("cp1252", "gb18030", "big5", "cp932", "euc_jp", "cp949", "cp1251", "cp1256")
_SAMPLE = 2**16  # bytes from which an encoding is guessed
_FEW = 16  # fewer non-ASCII bytes than this are too few for a guess
_NOT_WINDOWS_1252 = frozenset(
    b"\x81\x8d\x8f\x90\x9d"
)  # bytes that are characters in latin-1 but not in windows-1252
_NOT_FOR_FILES = frozenset({"unicode-escape", "raw-unicode-escape", "undefined", "idna", "punycode"})
_NEVER_IN_TEXT = frozenset({*range(0x20), 0x7F} - set(b"\t\n\v\f\r\x1b"))


@dataclass(frozen=True, slots=True)
class FileContent:
    """Hash and encoding of a file.

    Attributes:
        sha256: the sha256 of the file's bytes, in hexadecimal.
        encoding: Python's name of the encoding; None for a binary file.
        guessed: whether the encoding was guessed from the bytes.
        empty: whether the file contains only white space.
    """

    sha256: str
    encoding: str | None
    guessed: bool = False
    empty: bool = False


def examine(path: Path, encoding: str | None = None) -> FileContent:
    """Return the hash and encoding of the file at `path`, which is read in chunks.

    The encoding is `encoding` if given. Otherwise it is the first of these that fits: the encoding that a byte order
    mark shows, UTF-8, the encoding that an HTML page declares, UTF-16 without a byte order mark, or a guess. Raises
    OSError if the file is not a regular one or can't be read, and DocumentError for an encoding that Python does not
    know.
    """
    statistics = _ByteStatistics()
    with open_regular(path) as file:
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
    with open_regular(path) as file:
        return FileContent(digest, _guess(file.read(_CHUNK)) or statistics.western(), guessed=True)


def encoding_of(content: bytes) -> tuple[str | None, bool]:
    """Return the encoding of a text by Python's name, and whether this encoding is only a guess.

    What a page of HTML declares has no effect, because `content` may be a table whose cells hold HTML. The encoding is
    None if the bytes are not text.
    """
    statistics = _ByteStatistics()
    statistics.add(content)
    found = statistics.marked() or statistics.utf_8() or statistics.utf_16()
    if found is not None or statistics.binary():
        return found, False
    return _guess(content[:_CHUNK]) or statistics.western(), True


def _guess(sample: bytes) -> str | None:
    """Return charset-normalizer's guess of the encoding; None for Western text, which has few non-ASCII bytes."""
    first = next((place for place, byte in enumerate(sample) if byte >= 0x80), len(sample))
    sample = sample[first : first + _SAMPLE]
    if sum(byte >= 0x80 for byte in sample) < max(_FEW, len(sample) / 3):
        return None
    best = from_bytes(sample, cp_isolation=list(_LEGACY)).best()
    return None if best is None or best.encoding == "cp1252" else best.encoding


def read_decoded(path: Path, encoding: str) -> Iterator[str]:
    """Yield the text of a file in chunks, without the byte order mark and with line ends unchanged.

    Raises DocumentError if a byte is not valid in the encoding.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    read = 0
    with open_regular(path) as file:
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
    """Return a description of a decoding error in a chunk that starts at byte `read` of the file."""
    if not isinstance(error, UnicodeDecodeError):
        return str(error)  # UTF-16 or UTF-32 without a byte order mark
    return f"byte 0x{error.object[error.start]:02x} near offset {read + error.start}"


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    yield from iter(lambda: file.read(_CHUNK), b"")
    yield b""  # tells the decoder that the file has ended


class _ByteStatistics:
    """Evidence about a file's encoding, collected chunk by chunk."""

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
        """Return the encoding that an HTML page declares; None if the page declares no encoding.

        If the page declares UTF-16, the result is UTF-8, because a declaration that is readable as ASCII shows that the
        page is not UTF-16.
        """
        found = None if self.seen.get(0) else _DECLARED.search(self._start)
        name = _text_encoding(found.group(1).decode("ascii")) if found else None
        return "utf-8" if name is not None and name.startswith("utf-16") else name

    def utf_16(self) -> str | None:
        """Return utf-16-le or utf-16-be if the offsets of zero bytes show that the file is UTF-16; else None.

        ASCII characters have their zero bytes at odd offsets in utf-16-le, and at even offsets in utf-16-be.
        """
        zeros, odd = self.seen.get(0, 0), self._odd_zeros
        if self._size % 2 or zeros < self._size / 8:
            return None
        if odd > 0.95 * zeros:
            return "utf-16-le"
        return "utf-16-be" if odd < 0.05 * zeros else None

    def western(self) -> str:
        """Return the Western encoding, windows-1252 or latin-1, that decodes all bytes of the file."""
        return "latin-1" if _NOT_WINDOWS_1252 & self.seen.keys() else "windows-1252"

    def binary(self) -> bool:
        control = sum(count for byte, count in self.seen.items() if byte in _NEVER_IN_TEXT)
        return bool(self.seen.get(0)) or control > self._size / 100


_UNUSUAL = sorted(_NEVER_IN_TEXT | _NOT_WINDOWS_1252)


def check_encoding(encoding: str) -> str:
    """Return Python's own name of an encoding. Raises DocumentError for an unknown encoding."""
    name = _text_encoding(encoding)
    if name is None:
        raise DocumentError(f"unknown encoding {encoding!r}; try utf-8, gb18030 or shift_jis")
    return "utf-8-sig" if name == "utf-8" else name


def _text_encoding(encoding: str) -> str | None:
    """Return Python's own name of an encoding; None for an unknown encoding, and for one that is not for text files."""
    try:
        codec = codecs.lookup(encoding)
    except (LookupError, ValueError):  # ValueError: a zero byte in the name
        return None
    usable = codec._is_text_encoding and codec.incrementaldecoder is not None
    return codec.name if usable and codec.name.replace("_", "-") not in _NOT_FOR_FILES else None
