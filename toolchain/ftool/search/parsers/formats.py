"""Document formats that are not text: what reads each of them, and what is refused."""

import importlib.util
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ftool.errors import DocumentError
from ftool.extras import install
from ftool.search.parsers.epub import epub_pieces
from ftool.search.parsers.office import docx_pieces, pptx_pieces, xlsx_pieces
from ftool.search.parsers.pdf import pdf_pieces
from ftool.search.types import Heading, Piece, Title
from ftool.unpacking import TooLargeError, bounded, check_archive
from ftool_runtime.errors import RuntimeMissingError

_LARGEST_PART = 2**28  # bytes of one unpacked file of a .docx, .pptx, .xlsx or .epub file
_OLE = b"\xd0\xcf\x11\xe0"  # how .doc, .xls and files of Office with a password begin
_UNREADABLE = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A document format.

    Attributes:
        name: the format's name in messages.
        library: the module of the extra [documents] that reads the format; "" if no extra is needed.
        zipped: whether such a file is a ZIP archive.
        pieces: reads the pieces of the file at a path.
    """

    name: str
    library: str
    zipped: bool
    pieces: Callable[[Path], Iterator[Piece]]


_WORD = Format(name="Word", library="mammoth", zipped=True, pieces=docx_pieces)
_SLIDES = Format(name="PowerPoint", library="pptx", zipped=True, pieces=pptx_pieces)
_SHEETS = Format(name="Excel", library="openpyxl", zipped=True, pieces=xlsx_pieces)

FORMATS: Final = {
    ".pdf": Format(name="PDF", library="pypdf", zipped=False, pieces=pdf_pieces),
    ".docx": _WORD,
    ".docm": _WORD,
    ".pptx": _SLIDES,
    ".pptm": _SLIDES,
    ".xlsx": _SHEETS,
    ".xlsm": _SHEETS,
    ".epub": Format(name="EPUB", library="", zipped=True, pieces=epub_pieces),
}
INSTALL: Final = f"install what reads them: {install('documents')}"


def lacks_library(path: Path) -> bool:
    """Return whether the file at `path` has a format whose library, of the extra [documents], is not installed."""
    found = FORMATS.get(path.suffix.lower())
    return found is not None and bool(found.library) and importlib.util.find_spec(found.library) is None


def format_pieces(path: Path) -> Iterator[Piece]:
    """Yield the pieces of the document at `path`, whose suffix is one of `FORMATS`.

    Raises DocumentError if the file is damaged, of another format, or protected.
    """
    found = FORMATS[path.suffix.lower()]
    try:
        if found.zipped:
            _check_archive(path, found.name)
        for piece in bounded(found.pieces(path), path.stat().st_size):
            yield _readable(piece)
    except (DocumentError, RuntimeMissingError):
        raise
    except TooLargeError as error:
        raise DocumentError(f"{path}: {error}") from error
    except Exception as error:  # libraries do not document what they raise for damaged files
        if isinstance(error, OSError) and error.filename is not None:
            raise  # the file can't be opened
        reason = " ".join(str(error).split())[:200]
        raise DocumentError(
            f"{path}: damaged, or not in {found.name} format ({type(error).__name__}{': ' * bool(reason)}{reason}); "
            "open it in its own program and save it again"
        ) from error


def _readable(piece: Piece) -> Piece:
    """Return a piece without control characters and lone surrogates, which can't be stored."""
    match piece:
        case Heading(level, text):
            return Heading(level, _UNREADABLE.sub("\ufffd", text))
        case Title(text):
            return Title(_UNREADABLE.sub("\ufffd", text))
        case _:
            return _UNREADABLE.sub("\ufffd", piece)


def _check_archive(path: Path, name: str) -> None:
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            old = file.read(len(_OLE)) == _OLE
        reason = (
            "has a password or the format of Office 97; save a copy without one, in the current format"
            if old
            else f"damaged, or not in {name} format; open it in its own program and save it again"
        )
        raise DocumentError(f"{path}: {reason}")
    with zipfile.ZipFile(path) as archive:
        largest = max((part.file_size for part in archive.infolist()), default=0)
        if largest > _LARGEST_PART:
            raise DocumentError(
                f"{path}: unpacks to a part of {largest:,} bytes; at most {_LARGEST_PART:,} are read; split the "
                "document"
            )
        check_archive(archive, path.stat().st_size)
