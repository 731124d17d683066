"""Extract the visible text of Markdown, by converting it to HTML with markdown-it-py, part by part."""

import html
import itertools
import re
from collections.abc import Iterable, Iterator

from ftool.extras import require
from ftool.search.parsers.html import visible_text
from ftool.search.types import Piece, Title

_PART = 2**20  # characters of a document that are converted at a time
_DEEPEST = 10**6  # levels of nesting; Python's limit on recursion comes first
_MARKS = re.compile(r"^(?:[\s>]|[-*+]\s|\d{1,9}[.)]\s)*")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_FRONT_MATTER = re.compile(
    r"---[^\S\n]*\r?\n(.*?)^(?:---|\.\.\.)[^\S\n]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE
)
_TITLE = re.compile(r"""^title:\s*["']?(.*?)["']?\s*$""", re.MULTILINE)


def visible_markdown(pieces: Iterable[str]) -> Iterator[Piece]:
    """Yield, in pieces, the visible text, the title and the headings of a Markdown document, which is given in pieces.

    Long documents are parsed in parts that end at empty lines. A reference link whose definition is in another part
    stays in its Markdown form.
    """
    parts = _parts(pieces)
    first = next(parts, "")
    if front := _FRONT_MATTER.match(first):
        if title := _TITLE.search(front.group(1)):
            yield Title(title.group(1))
        first = first[front.end() :]
    yield from visible_text(_as_html(first, parts))


def _as_html(first: str, others: Iterable[str]) -> Iterator[str]:
    require("search")
    from markdown_it import MarkdownIt

    # Text that is nested deeper than `maxNesting` is dropped by markdown-it, and the default is 20.
    options = {"html": True, "maxNesting": _DEEPEST}
    markdown = MarkdownIt("commonmark", options).enable(["table", "strikethrough"])
    for part in itertools.chain([first], others):
        try:
            yield markdown.render(part)
        except RecursionError:
            yield _plain(part)


def _plain(part: str) -> str:
    """Return HTML that shows the lines of a part without the marks of quotes and list items that they begin with."""
    return "".join(f"<p>{html.escape(_MARKS.sub('', line))}</p>\n" for line in part.splitlines())


def _parts(pieces: Iterable[str]) -> Iterator[str]:
    """Yield the text in parts that end at an empty line outside code blocks.

    If there is no such line within four times the usual length of a part, the part ends at the next line end.
    """
    lines: list[str] = []
    size, fence = 0, ""
    for line in _lines(pieces):
        lines.append(line)
        size += len(line)
        if mark := _FENCE.match(line):
            fence = _after_fence(fence, mark.group(1), line)
        if size >= _PART and ((not line.strip() and not fence) or size >= 4 * _PART):
            yield "".join(lines)
            lines, size = [], 0
    yield "".join(lines)


def _after_fence(fence: str, mark: str, line: str) -> str:
    """Return the fence of the code block that is open after a line that starts with `mark`; "" if no block is open.

    `fence` is the fence of the code block that is open before the line, or "".
    """
    if not fence:
        return mark
    closes = mark[0] == fence[0] and len(mark) >= len(fence) and not line.strip().strip(mark[0])
    return "" if closes else fence


def _lines(pieces: Iterable[str]) -> Iterator[str]:
    rest = ""
    for piece in pieces:
        *whole, rest = (rest + piece).split("\n")
        yield from (line + "\n" for line in whole)
        if len(rest) >= _PART:
            yield rest
            rest = ""
    if rest:
        yield rest
