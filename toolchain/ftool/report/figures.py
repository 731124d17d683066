"""Figures as text, the same on every page; each function is also a filter of the templates."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from markupsafe import Markup, escape

from ftool.bench.scale import number
from ftool.evaluation.results import METRIC_NAMES, OF

_TEXT: Final = 600  # characters of a text to read
_FLAG: Final = re.compile(r"--[a-z-]+")
_BREAK: Final = re.compile(r"([_/-])(?=\w)")
_CODE: Final = re.compile(r"`([^`]+)`")


def score(value: float | None) -> str:
    """Return a metric, as `ftool evaluate` prints it."""
    return "none" if value is None else f"{value:.4f}"


def interval(low: float | None, high: float | None) -> str:
    """Return a confidence interval; "" if it is unknown."""
    return "" if low is None or high is None else f"{low:.4f} to {high:.4f}"


def percent(share: float | None) -> str:
    """Return a share, from 0 to 1, in percent; one that is nearly all or nothing does not look like it."""
    if share is None:
        return "none"
    text = f"{share:.1%}"
    if share not in (0, 1) and text in ("100.0%", "0.0%"):
        return "> 99.9%" if share > 0.5 else "< 0.1%"
    return text


def count(value: int) -> str:
    """Return a whole number with separators, such as 9,003."""
    return f"{value:,}"


def times(ratio: float) -> str:
    """Return a ratio, such as 8.4x."""
    return f"{ratio:.2f}×" if ratio < 10 else f"{ratio:,.1f}×"


def metric_name(name: str) -> str:
    """Return a metric's name for people."""
    metric, separator, output = name.partition(OF)
    known = METRIC_NAMES.get(metric, metric.replace("_", " "))
    return f"{output}, {known}" if separator else known


def capital(text: str) -> str:
    """Return a text that begins with a capital letter."""
    return text[:1].upper() + text[1:]


def excerpt(text: str) -> str:
    """Return a text to read, cut after 600 characters."""
    return text if len(text) <= _TEXT else f"{text[:_TEXT]}…"


def plural(number_of: int, noun: str) -> str:
    """Return a number of things, such as "1 text" or "3,080 texts"."""
    return f"{number_of:,} {noun}{'' if number_of == 1 else 's'}"


def breakable(text: str) -> Markup:
    """Return a name as HTML that may be broken behind its underscores, slashes and hyphens."""
    return Markup(_BREAK.sub(r"\1<wbr>", str(escape(text))))


def with_flags(text: str) -> Markup:
    """Return a text as HTML in which flags such as --max-size are not broken."""
    return Markup(_FLAG.sub(r'<span class="flag">\g<0></span>', str(escape(text))))


def with_code(text: str) -> Markup:
    """Return a text as HTML in which what stands between backticks, such as a command, is code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "score": score,
    "percent": percent,
    "count": count,
    "times": times,
    "number": number,
    "metric_name": metric_name,
    "capital": capital,
    "excerpt": excerpt,
    "breakable": breakable,
    "with_flags": with_flags,
    "with_code": with_code,
}
