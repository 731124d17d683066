"""The text of Markdown as it is shown: made HTML by markdown-it-py, some of it at a time."""

import re
from collections.abc import Iterable, Iterator

from markdown_it import MarkdownIt

from ftool.search.parsers.html import shown_text
from ftool.search.types import Piece, Title

_AT_ONCE = 2**20  # characters
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_FRONT_MATTER = re.compile(
    r"---[^\S\n]*\r?\n(.*?)^(?:---|\.\.\.)[^\S\n]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE
)
_TITLE = re.compile(r"""^title:\s*["']?(.*?)["']?\s*$""", re.MULTILINE)


def shown_markdown(pieces: Iterable[str]) -> Iterator[Piece]:
    """The text of a Markdown document that comes in pieces, with its title and headings, as it is read.

    Long documents are parsed in stretches that end at empty lines; a link whose target stands in another stretch is
    shown as it is written.
    """
    stretches = _stretches(pieces)
    first = next(stretches, "")
    if front := _FRONT_MATTER.match(first):
        if title := _TITLE.search(front.group(1)):
            yield Title(title.group(1))
        first = first[front.end() :]
    yield from shown_text(_as_html(first, stretches))


def _as_html(first: str, others: Iterable[str]) -> Iterator[str]:
    markdown = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    yield markdown.render(first)
    for stretch in others:
        yield markdown.render(stretch)


def _stretches(pieces: Iterable[str]) -> Iterator[str]:
    """Stretches that end at an empty line outside code blocks; where none comes, at the end of a line."""
    lines: list[str] = []
    size, fence = 0, ""
    for line in _lines(pieces):
        lines.append(line)
        size += len(line)
        if mark := _FENCE.match(line):
            fence = _after_fence(fence, mark.group(1), line)
        if size >= _AT_ONCE and ((not line.strip() and not fence) or size >= 4 * _AT_ONCE):
            yield "".join(lines)
            lines, size = [], 0
    yield "".join(lines)


def _after_fence(fence: str, mark: str, line: str) -> str:
    """The code block's mark that is open after a line that begins with a mark."""
    if not fence:
        return mark
    closes = mark[0] == fence[0] and len(mark) >= len(fence) and not line.strip().strip(mark[0])
    return "" if closes else fence


def _lines(pieces: Iterable[str]) -> Iterator[str]:
    rest = ""
    for piece in pieces:
        *whole, rest = (rest + piece).split("\n")
        yield from (line + "\n" for line in whole)
        if len(rest) >= _AT_ONCE:
            yield rest
            rest = ""
    if rest:
        yield rest
