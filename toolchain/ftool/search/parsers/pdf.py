"""Extract the text of PDF files with pypdf, page by page."""

import logging
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ftool.errors import DocumentError
from ftool.search.types import Heading, Piece, Title

if TYPE_CHECKING:
    from pypdf import PageObject, PdfReader

PAGE_LEVEL: Final = 6  # "page 3" stands below all headings of sections, so that every passage has its page
_DEEPEST_SECTION = PAGE_LEVEL - 1
_PLACEHOLDERS = frozenset(
    {"untitled", "(anonymous)"}
)  # what programs write as the title if a document has none
_NUMBERS_LISTED = 10  # page numbers named in a message
_LIGATURES = str.maketrans(
    {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st", "\u00ad": None}
)
# A word that the end of a line cuts: "war-\nranty". Digits and capitals, as in "UTF-\n8", keep their hyphen.
_CUT_WORD = re.compile(r"(?<=[^\W\d_]{2})-\n(?=[a-zß-ÿ]{2})")
_NUMBERING = re.compile(r"^(?:\d+|[A-Z])(?:\.\d+)*\.?\s+")

_Sections = Mapping[int, Sequence[Heading]]  # the headings of each page, by the page's number from 0

_log = logging.getLogger(__name__)


def pdf_pieces(path: Path) -> Iterator[Piece]:
    """Yield the text, the title, the sections and the page numbers of the PDF file at `path`.

    A warning counts pages that have images but no text. Raises DocumentError if all pages are such images, or if the
    file needs a password.
    """
    from pypdf import PdfReader

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # pypdf tells of each fault that it mends
    with path.open("rb") as file:
        reader = PdfReader(file)
        if reader.is_encrypted and not reader.decrypt(""):
            raise DocumentError(f"{path}: needs a password to be opened; save a copy without one")
        title = ((reader.metadata and reader.metadata.title) or "").strip()
        if title and title.lower() not in _PLACEHOLDERS:
            yield Title(title)
        sections = _sections(reader)
        scanned: list[int] = []
        for number, page in enumerate(reader.pages):
            text = _joined(page.extract_text())
            if text:
                yield from _page_pieces(text, number, sections.get(number, ()))
            elif _has_image(page):
                scanned.append(number + 1)
        _report_scanned(path, scanned, len(reader.pages))


def _page_pieces(text: str, number: int, sections: Sequence[Heading]) -> Iterator[Piece]:
    page = Heading(PAGE_LEVEL, f"page {number + 1}")
    yield from (page, "")
    waiting = {_comparable(heading.text): heading for heading in sections}
    for line in text.splitlines(keepends=True):
        heading = waiting.pop(_comparable(line), None)
        yield from (heading, line, page, "") if heading else (line,)
    yield "\n\n"


def _joined(text: str) -> str:
    return _CUT_WORD.sub("", text.translate(_LIGATURES)).strip()


def _sections(reader: "PdfReader") -> _Sections:
    """Return the bookmarks of a PDF file as headings, by page; none if the bookmarks are damaged."""
    from pypdf.errors import PyPdfError

    found: dict[int, list[Heading]] = defaultdict(list)

    def collect(entries: Sequence[Any], level: int) -> None:
        for entry in entries:
            if isinstance(entry, list):
                collect(entry, level + 1)
            elif (page := reader.get_destination_page_number(entry)) is not None:
                found[page].append(Heading(min(level, _DEEPEST_SECTION), " ".join(str(entry.title).split())))

    try:
        collect(reader.outline, 1)
    except (PyPdfError, LookupError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
    return found


def _comparable(heading: str) -> str:
    """Return a heading without its number, case and spaces, which differ between a bookmark and its page."""
    return "".join(_NUMBERING.sub("", heading.strip()).casefold().split())


def _has_image(page: "PageObject") -> bool:
    objects = (page.get("/Resources") or {}).get("/XObject") or {}
    return any(objects[name].get("/Subtype") == "/Image" for name in objects)


def _report_scanned(path: Path, scanned: Sequence[int], pages: int) -> None:
    if not scanned:
        return
    remedy = f"recognise their text first, for example with `ocrmypdf {path.name} with-text.pdf`"
    if len(scanned) == pages:
        raise DocumentError(
            f"{path}: a scan; its {pages} page{'s are images' if pages > 1 else ' is an image'} without text; {remedy}"
        )
    listed = ", ".join(map(str, scanned[:_NUMBERS_LISTED])) + (
        ", …" if len(scanned) > _NUMBERS_LISTED else ""
    )
    _log.warning(
        "%s: %d of %d pages are images without text and are not indexed (page %s); %s",
        path, len(scanned), pages, listed, remedy,
    )  # fmt: skip
