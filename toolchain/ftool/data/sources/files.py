"""Read the bytes or the text of data files, which may be compressed with gzip."""

import gzip
import zlib
from pathlib import Path

from ftool.errors import DataError
from ftool_runtime.errors import nearest

_GZIP_MAGIC = b"\x1f\x8b"
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")  # Excel puts these before its "Unicode text"


def read_bytes(path: Path) -> bytes:
    """Return the content of a file, decompressed if it is gzipped.

    Raises DataError if the file is missing, empty, unreadable or damaged.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file{_nearby(path)}") from error
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror}") from error
    if content.startswith(_GZIP_MAGIC):
        try:
            content = gzip.decompress(content)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DataError(f"{path}: the gzip file is damaged or cut short ({error})") from error
    if not content.strip():
        raise DataError(f"{path}: the file is empty")
    return content


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file, without the byte order mark. The file may be compressed with gzip.

    Raises DataError if the file can't be read, is not UTF-8, or holds a NUL byte.
    """
    content = read_bytes(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) + 1
        likely = "UTF-16" if content.startswith(_UTF_16_MARKS) else "LATIN1"
        raise DataError(
            f"{path}: not UTF-8: byte 0x{content[error.start]:02x} at offset {error.start}, row {row}; "
            f"save the file as UTF-8 (such as with iconv -f {likely} -t UTF-8)"
        ) from error
    nul = text.find("\0")
    if nul >= 0:
        raise DataError(f"{path}: row {text.count(chr(10), 0, nul) + 1} holds a NUL byte; remove it")
    return text


def bare_suffix(path: Path) -> str:
    """Return the suffix of a file in lower case, ignoring a final `.gz`: `.csv` for `train.csv.gz`."""
    return (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()


def bare_stem(path: Path) -> str:
    """Return the name of a file without suffix, ignoring a final `.gz`: `train` for `train.csv.gz`."""
    return (path.with_suffix("") if path.suffix.lower() == ".gz" else path).stem


def _nearby(path: Path) -> str:
    if not path.parent.is_dir():
        return ""
    names = [other.name for other in path.parent.iterdir() if other.is_file()]
    near = nearest(path.name, names)
    return f"; did you mean {near}?" if near else ""
