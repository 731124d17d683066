"""Read the bytes or the text of data files, which may be compressed."""

import bz2
import gzip
import io
import logging
import lzma
import zipfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path, PurePosixPath

from ftool.encodings import encoding_of
from ftool.errors import DataError
from ftool.unpacking import Readable, TooLargeError, check_archive, unpack
from ftool_runtime.errors import nearest
from ftool_runtime.regular_files import NotRegularError, open_regular

_log = logging.getLogger(__name__)

_COMPRESSIONS: Mapping[str, tuple[bytes, Callable[[io.BytesIO], AbstractContextManager[Readable]]]] = {
    "gz": (
        b"\x1f\x8b",
        lambda packed: gzip.GzipFile(fileobj=packed),
    ),  # the first bytes, and what unpacks the file
    "bz2": (b"BZh", bz2.BZ2File),
    "xz": (b"\xfd7zXZ\x00", lzma.LZMAFile),
}
_OTHER_KINDS: Mapping[bytes, str] = {  # the first bytes of files that people give a wrong suffix
    b"PK\x03\x04": "an Excel workbook (.xlsx) or a zip archive",
    b"\xd0\xcf\x11\xe0": "an old Excel or Word file (.xls, .doc)",
    b"PAR1": "a Parquet file (.parquet)",
    b"ARROW1": "an Arrow file (.arrow)",
    b"SQLite format 3\0": "a SQLite database (.db)",
    b"%PDF-": "a PDF file",
}
_BINARY = (".parquet", ".arrow", ".feather", ".xlsx", ".xlsm")
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_HTML = (b"<!doctype html", b"<html")
_PAGES = ("", ".htm", ".html", ".txt", ".xls")  # files that may hold a page, or are refused by their suffix
_BYTE_ORDER_MARK = "\ufeff"
_SHOWN = 60  # characters of a line that a warning shows


@dataclass(frozen=True)
class DataFile:
    """A file with rows of data. Nothing is read before the content or the text is asked for.

    Attributes:
        source: the name of the file in messages.
        name: the name by which the kind of file and the split are found, without the suffix of a compression.
        read: returns the content, decompressed.
        folder: the folder of the file within the data set, such as "train/spam"; "" for the data set's own folder.
    """

    source: str
    name: str
    read: Callable[[], bytes]
    folder: str = ""

    @property
    def suffix(self) -> str:
        """The suffix of the name in lower case, such as ".csv"."""
        return Path(self.name).suffix.lower()

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return Path(self.name).stem

    @cached_property
    def content(self) -> bytes:
        """The decompressed content. Raises DataError if the file is missing, empty, unreadable or damaged."""
        content = self.read()
        if not content.strip():
            raise DataError(f"{self.source}: the file is empty")
        if content.startswith(_LFS_POINTER):
            raise DataError(
                f"{self.source}: is a Git LFS pointer, not the file itself; run `git lfs pull`, or download the file"
            )
        if self.suffix not in _PAGES and content.lstrip()[:15].lower().startswith(_HTML):
            raise DataError(
                f"{self.source}: is an HTML page, perhaps of an error or a sign-in; download the file itself"
            )
        return content

    @property
    def text(self) -> str:
        """The text without a byte order mark. Lines end with a line feed, or a carriage return and a line feed.

        Raises DataError if the content can't be read, is not text, or holds a NUL byte.
        """
        return self._decoded[0]

    @property
    def warnings(self) -> tuple[str, ...]:
        """A warning if the encoding of the text was guessed; none for a kind of file that is not text."""
        return () if self.suffix in _BINARY else self._decoded[1]

    @cached_property
    def _decoded(self) -> tuple[str, tuple[str, ...]]:
        return _decoded(self.source, self.content)


def data_file(path: Path, folder: str = "") -> DataFile:
    """Return the file at `path`, which may be compressed with gzip, bzip2 or xz, and is in `folder` of its data set."""
    return DataFile(str(path), _bare_name(path.name), lambda: _read_bytes(path), folder)


def files_below(folder: Path, depth: int) -> list[DataFile]:
    """Return the files in `folder` and its folders, at most `depth` folders deep, sorted by path.

    Hidden files and folders are left out.
    """
    found = []
    for path in sorted(folder.glob("*")):
        if path.name.startswith((".", "__MACOSX")):
            continue
        if path.is_file():
            found.append(data_file(path))
        elif path.is_dir() and depth:
            found += [
                replace(file, folder="/".join(filter(None, (path.name, file.folder))))
                for file in files_below(path, depth - 1)
            ]
    return found


def files_in_zip(path: Path) -> list[DataFile]:
    """Return the files in a zip archive, sorted by path, without hidden ones; a folder around all of them is ignored.

    Raises DataError if the archive is missing, damaged or encrypted.
    """
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            check_archive(archive, path.stat().st_size)
            members = [member for member in archive.infolist() if not member.is_dir()]
    except TooLargeError as error:
        raise DataError(f"{path}: {error}") from error
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file{_nearby(path)}") from error
    except NotRegularError as error:
        raise DataError(f"{path}: can't be read: {error.strerror}") from error
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not a zip archive, or damaged ({error})") from error
    parts = {member.filename: PurePosixPath(member.filename).parts for member in members}
    shown = sorted(
        name for name, of in parts.items() if not any(one.startswith((".", "__MACOSX")) for one in of)
    )
    around = {parts[name][0] for name in shown}
    first = 1 if len(around) == 1 and all(len(parts[name]) > 1 for name in shown) else 0
    return [
        DataFile(
            f"{path}/{name}",
            _bare_name(parts[name][-1]),
            partial(_read_member, path, name),
            "/".join(parts[name][first:-1]),
        )
        for name in shown
    ]


def _read_member(path: Path, name: str) -> bytes:
    source = f"{path}/{name}"
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive, archive.open(name) as member:
            content = unpack(member, min(archive.getinfo(name).compress_size, path.stat().st_size))
            return _decompressed(source, PurePosixPath(name).suffix, content)
    except TooLargeError as error:
        raise DataError(f"{source}: {error}") from error
    except RuntimeError as error:  # encrypted, or compressed by a method that zipfile does not know
        raise DataError(f"{source}: can't be read: {error}; unpack the archive") from error
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, zlib.error, EOFError, lzma.LZMAError) as error:
        raise DataError(f"{source}: the archive is damaged or cut short ({error})") from error


def read_text(path: Path) -> str:
    """Return the text of a file as `DataFile.text` does, and log its warnings."""
    file = data_file(path)
    text = file.text
    for warning in file.warnings:
        _log.warning("%s", warning)
    return text


def _read_bytes(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            content = file.read()
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file{_nearby(path)}") from error
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror}") from error
    return _decompressed(str(path), path.suffix, content)


def _decompressed(source: str, end: str, content: bytes) -> bytes:
    """Return the content of a file whose name has the suffix `end`, decompressed."""
    for suffix, (magic, unpacking) in _COMPRESSIONS.items():
        if content.startswith(magic) and (suffix == "gz" or end.lower() == f".{suffix}"):
            try:
                with unpacking(io.BytesIO(content)) as unpacked:
                    return unpack(unpacked, len(content))
            except TooLargeError as error:
                raise DataError(f"{source}: {error}") from error
            except (EOFError, OSError, ValueError, zlib.error, lzma.LZMAError) as error:
                raise DataError(f"{source}: the .{suffix} file is damaged or cut short ({error})") from error
    return content


def _bare_name(name: str) -> str:
    stem, _, suffix = name.rpartition(".")
    return stem if stem and suffix.lower() in _COMPRESSIONS else name


def _decoded(source: str, content: bytes) -> tuple[str, tuple[str, ...]]:
    """Return the text of a file, and a warning if its encoding was guessed."""
    if (
        kind := next((kind for magic, kind in _OTHER_KINDS.items() if content.startswith(magic)), None)
    ) is not None:
        raise DataError(
            f"{source}: is {kind}, not text; rename the file, or save it as the text that its name says"
        )
    encoding, guessed = encoding_of(content)
    if guessed and _mostly_utf_8(content):
        encoding, guessed = "utf-8", False
    try:
        text = content.decode(encoding or "utf-8").removeprefix(_BYTE_ORDER_MARK)
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{source}: not text in {encoding or 'UTF-8'}: byte 0x{content[error.start]:02x} at offset "
            f"{error.start}, row {row}; correct the row, and save the file as UTF-8"
        ) from error
    if not text.strip():
        raise DataError(f"{source}: the file is empty")
    nul = text.find("\0")
    if nul >= 0:
        raise DataError(f"{source}: row {text.count(chr(10), 0, nul) + 1} holds a NUL byte; remove it")
    return _with_line_feeds(text), (_guess_warning(source, text, encoding),) if guessed else ()


def _mostly_utf_8(content: bytes) -> bool:
    """Whether at least half of the characters that are not ASCII are valid UTF-8: the others are then damaged.

    In a text of another encoding, bytes that happen to be valid UTF-8 are rare.
    """
    text = content.decode("utf-8", errors="replace")
    damaged = text.count("\ufffd")
    return sum(not character.isascii() for character in text) >= 2 * damaged


def _guess_warning(source: str, text: str, encoding: str | None) -> str:
    row, line = next((row, line) for row, line in enumerate(text.split("\n"), start=1) if not line.isascii())
    first = next(place for place, character in enumerate(line) if not character.isascii())
    shown = line[max(first - _SHOWN // 2, 0) :][:_SHOWN].strip()
    return (
        f"{source}: not UTF-8; read as {encoding}, which is a guess: row {row} has {shown!r}; if that is wrong, "
        "save the file as UTF-8"
    )


def _with_line_feeds(text: str) -> str:
    """Return a text whose lines end with line feeds if most of its lines end with a carriage return alone.

    Another text is returned unchanged.
    """
    if text.count("\r") - text.count("\r\n") <= text.count("\n"):
        return text
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _nearby(path: Path) -> str:
    if not path.parent.is_dir():
        return ""
    names = [other.name for other in path.parent.iterdir() if other.is_file()]
    near = nearest(path.name, names)
    return f"; did you mean {near}?" if near else ""
