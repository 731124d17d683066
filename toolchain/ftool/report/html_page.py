"""The frame of every HTML page that ftool writes: one file that loads nothing, in light and dark, for screen and paper.

Templates are Jinja's, with all text escaped. The style is in `style.css`, the charts in `ftool.report.plots`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ftool.report.figures import FILTERS
from ftool_runtime.atomic import replacing

_HERE: Final = Path(__file__).parent
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")  # characters that HTML does not allow


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A figure at the head of a page: what it is, its value as text, and a remark below."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a page. `anchor` is its name in links."""

    anchor: str
    title: str
    body: Markup


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page: what it is about, a sentence on that, the most important figures, and sections.

    `kind` says above the title what sort of page it is, such as "Benchmark"; `summary` has the findings in plain
    sentences, and `notices` what to know before anybody trusts them.
    """

    kind: str
    title: str
    lead: str
    summary: Sequence[str] = ()
    notices: Sequence[str] = ()
    tiles: Sequence[Tile] = ()
    sections: Sequence[Section]


def fill(template: str, **values: Any) -> Markup:
    """Return a template of `templates/` filled with values; texts are escaped, `Markup` is not."""
    return Markup(_environment().get_template(f"{template}.html.jinja").render(**values))


def html_table(rows: Sequence[Sequence[Any]], *, words: Sequence[int] = (0,)) -> Markup:
    """Return rows as a table; the first row is the header.

    A cell is a text, or a pair of a figure and what stands small below it, such as its interval. The columns in `words`
    are aligned left, others right.
    """
    head, *body = rows
    return fill("table", head=head, body=body, words=frozenset(words))


def flat(value: Any) -> str:
    """Return a JSON value as one line of text for a table cell."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {flat(one)}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(flat(one) for one in value)
    return str(value)


def write_page(page: Page, path: Path) -> None:
    """Write a page to the HTML file `path`, which is replaced whole or not at all. Raises OSError."""
    text = fill(
        "page",
        page=page,
        style=Markup((_HERE / "style.css").read_text(encoding="utf-8")),
        ftool=version("ftool"),
        written=datetime.now(UTC).date().isoformat(),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(_CONTROL.sub("�", text).encode("utf-8", "replace").decode("utf-8"))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    return environment
