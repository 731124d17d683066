"""Write the benchmark report as one self-contained HTML file: tables, the ratios and SVG charts."""

import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from ftool.bench.report import BenchReport, sentences, table
from ftool.bench.scale import scale_tables
from ftool.bench.timings import Timings
from ftool_runtime.atomic import replacing

STYLE = """
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24 }
  table { border-collapse: collapse; margin: 1rem 0 } td, th { padding: .3rem .9rem; border-bottom: 1px solid #d8dee4 }
  td:not(:first-child), th:not(:first-child) { text-align: right; font-variant-numeric: tabular-nums }
  svg { max-width: 100%; height: auto } .small { color: #57606a; font-size: .9rem }
"""  # of every page that ftool writes
PAGE = Template("""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>$title</title>
<style>$style</style>
<h1>$title</h1>
<p>$examples texts of the $split split, one at a time and all in one call, including tokenisation. Each engine ran in
its own process, in $rounds alternating rounds; ratios are medians over the rounds.</p>
$table
$sentences
$scale
<h2>Latency, one text at a time</h2>
$distribution
<h2>Median latency by round</h2>
$by_round
<h2>Machine and versions</h2>
$circumstances
</html>
""")


def html_table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of text as an HTML table; the first row is the header."""
    head, *body = ([html.escape(cell) for cell in row] for row in rows)
    lines = ["<tr><th>" + "</th><th>".join(head) + "</th></tr>"]
    lines += ["<tr><td>" + "</td><td>".join(row) + "</td></tr>" for row in body]
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def svg(figure: Figure) -> str:
    """Return a figure as inline SVG. Text in the figure remains text: it is not drawn as outlines."""
    with mpl.rc_context({"svg.fonttype": "none"}):
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", bbox_inches="tight")
    return buffer.getvalue()[buffer.getvalue().index("<svg") :]


def distribution_chart(timings: Mapping[str, Timings]) -> str:
    """Return an SVG chart with a line per engine: the share of texts that were answered within each latency."""
    figure = Figure(figsize=(8, 3.5))
    axes = figure.subplots()
    for name, one in timings.items():
        pooled = np.sort(np.concatenate([np.asarray(latencies) for latencies in one.latencies_ms]))
        axes.step(pooled, np.arange(1, len(pooled) + 1) / len(pooled) * 100, where="post", label=name)
    axes.set_xscale("log")
    axes.set_xlabel("latency (ms, logarithmic)")
    axes.set_ylabel("texts answered (%)")
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    return svg(figure)


def rounds_chart(timings: Mapping[str, Timings]) -> str:
    """Return an SVG chart with a line per engine: the median latency of each round, to show how much rounds differ."""
    figure = Figure(figsize=(8, 2.8))
    axes = figure.subplots()
    for name, one in timings.items():
        medians = one.round_p50_ms()
        axes.plot(range(1, len(medians) + 1), medians, marker="o", label=name)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("round")
    axes.set_ylabel("p50 (ms)")
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    return svg(figure)


def lengths_chart(engines: Mapping[str, Mapping[str, Any]]) -> str:
    """Return an SVG chart of the median latency at each length, a line per engine, with the fit dotted if there is one.

    `engines` has the engines' figures as JSON, with `lengths` and `costs`.
    """
    figure = Figure(figsize=(8, 3.5))
    axes = figure.subplots()
    for name, engine in engines.items():
        sizes = [point["tokens"] for point in engine["lengths"]]
        [line] = axes.plot(sizes, [point["p50_ms"] for point in engine["lengths"]], "o", label=name)
        if coefficients := engine["costs"]["latency_by_length"]["coefficients"]:
            between = np.linspace(sizes[0], sizes[-1], 200)
            fitted = np.polynomial.Polynomial(list(coefficients.values()))(between)
            axes.plot(between, fitted, ":", color=line.get_color())
    axes.set_yscale("log")
    axes.set_xlabel("tokens (dotted: fitted)")
    axes.set_ylabel("p50 (ms, logarithmic)")
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    return svg(figure)


def _scale(data: Mapping[str, Any]) -> str:
    """Return the part of the page about lengths and batches; empty if none were timed."""
    if not (tables := scale_tables(data)):
        return ""
    charts = [lengths_chart(data["engines"])] if "lengths" in data["engines"][data["subject"]] else []
    return "\n".join(["<h2>Costs of scale</h2>", *map(html_table, tables), *charts])


def flat(value: Any) -> str:
    """Return a JSON value as one line of text for a table cell."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {flat(one)}" for key, one in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(flat(one) for one in value)
    return str(value)


def write_html(report: BenchReport, path: Path) -> None:
    """Write the report to the HTML file `path`, which is replaced whole or not at all."""
    data = report.to_json()
    circumstances = [["item", "value"], *([key, flat(value)] for key, value in data["machine"].items())]
    circumstances += [[f"versions in {name}", flat(one["versions"])] for name, one in data["engines"].items()]
    circumstances += [[f"threads in {name}", str(one["threads"])] for name, one in data["engines"].items()]
    page = PAGE.substitute(
        title=html.escape(f"ftool bench: {report.subject}"),
        style=STYLE,
        examples=report.examples,
        split=html.escape(report.split),
        rounds=report.settings.rounds,
        table=html_table(table(data)),
        sentences="\n".join(f"<p>{html.escape(one)}</p>" for one in sentences(data)),
        distribution=distribution_chart(report.timings),
        scale=_scale(data),
        by_round=rounds_chart(report.timings),
        circumstances=html_table(circumstances),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(page)
