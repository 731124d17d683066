"""Extract the text of EPUB books: the chapters, which are HTML pages, in the order of the book's spine."""

import posixpath
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ftool.errors import DocumentError
from ftool.extras import require
from ftool.search.parsers.html import visible_text
from ftool.search.types import Piece, Title

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_PAGES = frozenset({"application/xhtml+xml", "text/html"})
_DECLARED = re.compile(rb"""^\s*<\?xml[^>]*encoding\s*=\s*["']([\w.-]+)["']""")


def epub_pieces(path: Path) -> Iterator[Piece]:
    """Yield the title, the text and the headings of the EPUB book at `path`, without its table of contents.

    Raises DocumentError if the book is encrypted, or a file that it lists is missing.
    """
    with zipfile.ZipFile(path) as book:
        names = frozenset(book.namelist())
        package = _xml(book, _CONTAINER).xpath("string(//*[local-name()='rootfile']/@full-path)")
        content = _xml(book, package)
        if title := content.xpath("normalize-space(//*[local-name()='title'])"):
            yield Title(title)
        chapters = [
            posixpath.normpath(posixpath.join(posixpath.dirname(package), ref)) for ref in _spine(content)
        ]
        locked = _encrypted(book) if _ENCRYPTION in names else frozenset()
        for chapter in chapters:
            if chapter in locked:
                raise DocumentError(f"{path}: encrypted for its reading device; give a copy that is not")
            if chapter not in names:
                raise DocumentError(f"{path}: its chapter {chapter} is missing; fetch or save the book again")
            pieces = visible_text([_decoded(book.read(chapter))])
            yield from (piece for piece in pieces if not isinstance(piece, Title))
            yield "\n\n"


def _spine(content: Any) -> Iterator[str]:
    """Yield the links of a book's pages in reading order, without the table of contents."""
    items = {item.get("id"): item for item in content.xpath("//*[local-name()='item']")}
    for reference in dict.fromkeys(
        content.xpath("//*[local-name()='itemref']/@idref")
    ):  # each stands there once
        item = items.get(reference)
        if (
            item is None
            or item.get("media-type") not in _PAGES
            or "nav" in item.get("properties", "").split()
        ):
            continue
        yield unquote(item.get("href", ""))


def _encrypted(book: zipfile.ZipFile) -> frozenset[str]:
    return frozenset(
        unquote(name) for name in _xml(book, _ENCRYPTION).xpath("//*[local-name()='CipherReference']/@URI")
    )


def _xml(book: zipfile.ZipFile, name: str) -> Any:
    require("search")
    from lxml import etree

    return etree.fromstring(book.read(name), etree.XMLParser(resolve_entities=False, no_network=True))


def _decoded(page: bytes) -> str:
    if page.startswith((b"\xff\xfe", b"\xfe\xff")):
        return page.decode("utf-16", "replace")
    declared = _DECLARED.match(page)
    return page.decode(declared.group(1).decode() if declared else "utf-8-sig", "replace")
