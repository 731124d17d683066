"""Charts as SVG that is as wide as the page: text keeps its size on a phone, and colours follow the page's theme.

An SVG element without a `viewBox` places shapes in percent of its size, while radii and text are in pixels. Lines are
in an inner SVG element that is stretched. So a chart needs no script and no second version for small screens. Colours
are classes `s1` to `s6` of `style.css`, which also gives each its own dashes: no chart depends on colours alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from markupsafe import Markup

from ftool.report.axes import Axis
from ftool.report.html_page import fill

STYLES: Final = 6  # distinct lines and dots


def style(number: int) -> str:
    """Return the class of the line or dot with a number, from 0."""
    return f"s{number % STYLES + 1}"


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line through points (x, y), named in the legend unless `name` is ""."""

    name: str
    points: Sequence[tuple[float, float]]
    style: str
    dots: bool = False  # whether the points are marked


@dataclass(frozen=True, kw_only=True)
class Dot:
    """A dot at (x, y), with a whisker from `low` to `high` if they are given, and a label beside it.

    `title` is shown when the pointer is on the dot; `radius` is in pixels; `label_at` is the label's offset in pixels.
    """

    x: float
    y: float
    style: str
    title: str
    radius: float = 4.5
    low: float | None = None
    high: float | None = None
    label: str = ""
    label_at: tuple[float, float] = (9.0, 4.0)
    label_before: bool = False  # whether the label ends at its place instead of beginning there


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A horizontal line across the chart at `y`, named in the legend."""

    name: str
    y: float
    style: str


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A column from the chart's bottom to `y`, between `left` and `right`."""

    left: float
    right: float
    y: float
    title: str


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A chart with two axes. `description` says what it shows to those who can't see it."""

    x: Axis
    y: Axis
    description: str
    lines: Sequence[Line] = ()
    dots: Sequence[Dot] = ()
    rules: Sequence[Rule] = ()
    bars: Sequence[Bar] = ()
    height: int = 260  # pixels
    legend: Sequence[tuple[str, str]] = field(default=())  # further names and their styles

    def html(self) -> Markup:
        """Return the chart as HTML."""
        return fill("plot", plot=self, legend=self._legend(), place=self._place)

    def _legend(self) -> list[tuple[str, str, str]]:
        """Return the name, the style and the kind ("line" or "dot") of each entry."""
        lines = [(one.name, one.style, "line") for one in self.lines if one.name]
        lines += [(one.name, one.style, "line") for one in self.rules]
        return [*lines, *((name, style, "dot") for name, style in self.legend)]

    def _place(self, x: float, y: float) -> tuple[float, float]:
        """Return a point in percent from the left and from the top."""
        return self.x.place(x), round(100 - self.y.place(y), 3)


@dataclass(frozen=True, kw_only=True)
class Whisker:
    """A row of `whiskers`: a value with its interval. `soft` rows stand in the background."""

    name: str
    value: float
    text: str
    low: float | None = None
    high: float | None = None
    note: str = ""
    style: str = "s1"
    soft: bool = False


def whiskers(rows: Sequence[Whisker], axis: Axis, *, mark: float | None = None) -> Markup:
    """Return rows of values with their intervals on one axis; `mark` is a value to draw a line at."""
    return fill("whiskers", rows=rows, axis=axis, mark=mark)
