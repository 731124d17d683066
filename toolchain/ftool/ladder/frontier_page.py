"""Write the frontier as one self-contained HTML file: a picture of accuracy against cost, and the table."""

import html
from string import Template
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

from ftool.bench.html_report import STYLE, flat, html_table, svg
from ftool.evaluation.results import METRIC_NAMES
from ftool.ladder.choice import Ranked, upper_end
from ftool.ladder.frontier import Frontier
from ftool_runtime.atomic import replacing

_PAGE = Template("""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>$title</title>
<style>$style</style>
<h1>$title</h1>
<p>$metric on $examples validation examples against latency, one text at a time. The area of a circle is the size of the
bundle. A bar is the $level interval of the difference from torch on the same examples: a candidate is accurate
enough if its bar ends above the dotted line. Each candidate was loaded by the runtime and compared with torch
before it was timed, in alternating rounds, each in its own process.</p>
$picture
$notes
$table
<h2>Machine and versions</h2>
$circumstances
</html>
""")
_AREA_PER_MB = 12.0  # square points


def write_page(frontier: Frontier) -> None:
    """Write the frontier to its HTML file, which is replaced whole or not at all. Raises OSError."""
    machine = [["item", "value"]]
    machine += [[key, flat(value)] for key, value in frontier.timings["machine"].items()]
    machine += [
        [f"versions in {name}", flat(engine["versions"])]
        for name, engine in frontier.timings["engines"].items()
    ]
    page = _PAGE.substitute(
        title=html.escape(f"ftool export --precision auto: {frontier.subject}"),
        style=STYLE,
        metric=html.escape(METRIC_NAMES.get(frontier.metric, frontier.metric)),
        examples=frontier.examples,
        level=f"{2 * frontier.wanted.confidence - 1:.0%}",
        picture=_picture(frontier),
        notes="\n".join(f"<p>{html.escape(note)}</p>" for note in frontier.notes()),
        table=html_table(frontier.table(reasons=True)),
        circumstances=html_table(machine),
    )
    with replacing(frontier.page) as file:
        file.write(page)


def _picture(frontier: Frontier) -> str:
    """Return an SVG chart: the main metric against latency, a circle for each candidate that was timed."""
    figure = Figure(figsize=(8, 4.8))
    axes = figure.subplots()
    chosen = frontier.chosen
    reference = frontier.reference.value
    for number, one in enumerate(frontier.ranked):
        _draw(axes, one, reference, chosen=one is chosen, below=bool(number % 2))
    axes.axhline(reference, color="#1b1f24", linewidth=1, label="torch fp32")
    axes.axhline(
        reference - frontier.wanted.max_drop, color="#1b1f24", linewidth=1, linestyle=":", label="--max-drop"
    )
    for baseline in frontier.baselines:
        if not baseline.trivial:
            axes.axhline(
                baseline.score.value, color="#9a6700", linewidth=1, linestyle="--", label=baseline.title
            )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(f"latency ({'ms a token' if frontier.generates else 'ms'}, logarithmic)")
    axes.set_ylabel(METRIC_NAMES.get(frontier.metric, frontier.metric))
    axes.margins(0.15)
    axes.grid(visible=True, which="both", alpha=0.2)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, frameon=False, fontsize="small")
    return svg(figure)


def _draw(axes: Any, one: Ranked, reference: float, *, chosen: bool, below: bool) -> None:
    """Draw a candidate that was timed, its label above or below; `reference` is torch's metric."""
    if one.costs is None or one.rung.drop is None:
        return
    drop, place = one.rung.drop, one.costs.latency_ms
    colour = "#1a7f37" if chosen else "#0969da" if one.qualifies else "#8c959f"
    ends = reference - min(drop.low, drop.value), reference - upper_end(drop)
    axes.plot([place, place], ends, color=colour, linewidth=1.5)
    axes.scatter(
        [place], [reference - drop.value], s=_AREA_PER_MB * one.costs.size_mb, color=colour, alpha=0.5
    )
    label = f"{one.rung.name} (chosen)" if chosen else one.rung.name
    axes.annotate(
        label, (place, reference - drop.value), xytext=(8, -14 if below else 6), textcoords="offset points"
    )
