"""Extract the visible text of HTML with lxml: separate blocks, collapse white space and skip scripts."""

import re
from collections.abc import Iterable, Iterator, Mapping

from ftool.extras import require
from ftool.search.types import Heading, Piece, Title

_HIDDEN = frozenset(
    {"head", "title", "script", "style", "template", "noscript", "svg", "iframe", "object", "datalist"}
)
# Elements with an empty line before and after them.
_BLOCKS = frozenset(
    {"address", "article", "aside", "blockquote", "body", "details", "dialog", "div", "dl", "fieldset"}
    | {"figcaption", "figure", "footer", "form", "header", "hr", "main", "nav", "ol", "p", "pre", "section"}
    | {"h1", "h2", "h3", "h4", "h5", "h6", "summary", "table", "ul"}
)
_ON_NEW_LINE = frozenset({"br", "caption", "dd", "dt", "li", "option", "tr", "tbody", "thead", "tfoot"})
_CELLS = frozenset({"td", "th"})
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_NOT_DISPLAYED = re.compile(r"display\s*:\s*none", re.IGNORECASE)
_SPACE = re.compile(r"[ \t\n\r\f]+")


def visible_text(pieces: Iterable[str]) -> Iterator[Piece]:
    """Yield, in pieces, the visible text, the title and the headings of an HTML page, which is given in pieces."""
    require("search")
    from lxml import etree

    target = _VisibleText()
    parser = etree.HTMLParser(target=target, huge_tree=True, encoding="utf-8")
    started = False
    for piece in pieces:
        started = started or bool(piece)
        parser.feed(piece.encode("utf-8", "replace"))
        yield from target.take()
    if started:
        parser.close()
    yield from target.take()


def _is_hidden(attributes: Mapping[str, str]) -> bool:
    """Return whether an element is hidden by its own attributes; style sheets are not read."""
    hidden = attributes.get("hidden")
    return (hidden is not None and hidden.lower() != "until-found") or bool(
        _NOT_DISPLAYED.search(attributes.get("style", ""))
    )


class _VisibleText:
    """Parser target for lxml that collects the visible text, which `take` returns piece by piece."""

    def __init__(self) -> None:
        self._ready: list[Piece] = []
        self._open: list[bool] = []  # for each open element whether it is hidden
        self._hidden = 0  # number of hidden open elements
        self._title: list[str] | None = None  # parts of the page's first title
        self._in_title = False
        self._heading: list[str] | None = None  # parts of the open heading
        self._preformatted = 0
        self._lines = 0  # line ends to write before the next text
        self._space = False  # whether to write a space before the next text
        self._begun = False

    def take(self) -> list[Piece]:
        """Return the pieces of text, headings and title that were completed since the last call."""
        ready, self._ready = self._ready, []
        return ready

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag == "title" and self._title is None:
            self._title, self._in_title = [], True
        self._open.append(tag in _HIDDEN or _is_hidden(attributes))
        self._hidden += self._open[-1]
        self._break(tag)
        self._preformatted += tag == "pre"
        if tag in _HEADINGS and self._heading is None and not self._hidden:
            self._heading = []

    def end(self, tag: str) -> None:
        if tag == "title" and self._in_title:
            self._in_title = False
            self._ready.append(Title(" ".join("".join(self._title or ()).split())))
        if tag in _HEADINGS and self._heading is not None:
            self._end_heading(_HEADINGS[tag])
        self._hidden -= self._open.pop()
        self._preformatted -= tag == "pre"
        if tag != "br":  # lxml reports its end together with its start
            self._break(tag)

    def data(self, text: str) -> None:
        if self._in_title and self._title is not None:
            self._title.append(text)
        if self._hidden or not text:
            return
        if self._preformatted:
            self._write(text)
            return
        words = _SPACE.sub(" ", text)
        self._space = self._space or words[0] == " "
        if stripped := words.strip(" "):
            self._write(stripped)
            self._space = words[-1] == " "

    def close(self) -> None:
        if self._heading is not None:
            self._end_heading(1)

    def _break(self, tag: str) -> None:
        if tag in _BLOCKS:
            self._lines = max(self._lines, 2)
        elif tag in _ON_NEW_LINE:
            self._lines = self._lines + 1 if tag == "br" else max(self._lines, 1)
        elif tag in _CELLS:
            self._space = True

    def _write(self, text: str) -> None:
        between = "\n" * min(self._lines, 2) or " " * self._space
        self._lines, self._space = 0, False
        if self._heading is not None:
            self._heading.append(between + text if self._heading else text)
            if len(self._heading) == 1 and self._begun:
                self._ready.append(between)
            return
        self._ready.append(between + text if self._begun else text)
        self._begun = True

    def _end_heading(self, level: int) -> None:
        text = "".join(self._heading or ())
        self._heading = None
        if text:
            self._ready += [Heading(level, " ".join(text.split())), text]
            self._begun = True
