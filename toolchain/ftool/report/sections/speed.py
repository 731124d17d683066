"""Speed, from a report of `ftool bench`: how many times faster, the distribution of latencies, costs of scale."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from markupsafe import Markup

from ftool.bench.report import sentences, table
from ftool.bench.scale import scale_tables
from ftool.report.axes import Axis
from ftool.report.figures import capital, plural, times
from ftool.report.html_page import Section, fill, html_table
from ftool.report.plots import Line, Plot, Whisker, style, whiskers

Report = Mapping[str, Any]  # as `BenchReport.to_json` returns it

_WARNING: Final = "warning: "
_RATIOS: Final = (
    ("latency_p50", "one at a time, median"),
    ("throughput", "all texts in one call"),
    ("cold_start", "process start to first answer"),
    ("peak_memory", "peak memory"),
    ("size", "size on disk"),
)


def speed(report: Report, *, notice: str = "") -> Section:
    """Return the section; `notice` is a remark at its head, such as that the report is about an earlier bundle."""
    known = titled(report)
    charts = [_lengths(known["engines"])] if "lengths" in known["engines"][known["subject"]] else []
    told = sentences(known)
    body = fill(
        "speed",
        notices=[
            *([notice] if notice else []),
            *(capital(one.removeprefix(_WARNING)) for one in told if one.startswith(_WARNING)),
        ],
        explain=_explain(known),
        ratios=[(name, _ratios(known, name)) for name in known["ratios"]],
        sentences=[one for one in told if not one.startswith(_WARNING) and not _is_ratio(one, known)],
        distribution=_distribution(known["engines"]),
        table=html_table(table(known)),
        rounds=_rounds(known["engines"]),
        scale=[html_table(one) for one in scale_tables(known)],
        scale_charts=charts,
    )
    return Section(anchor="speed", title="Speed", body=body)


def titled(report: Report) -> dict[str, Any]:
    """Return a report whose engines have the names that people know them by in place of their keys."""
    titles = {name: engine.get("title") or name for name, engine in report["engines"].items()}
    return {
        **report,
        "subject": titles[report["subject"]],
        "engines": {titles[name]: engine for name, engine in report["engines"].items()},
        "ratios": {titles[name]: ratio for name, ratio in report["ratios"].items()},
    }


def _explain(report: Report) -> str:
    split, settings = report["split"], report["settings"]
    return (
        f"{plural(report['examples'], 'input')} of {split}, one at a time and all in one call, tokenisation included. "
        f"Each engine ran in its own process, in {plural(settings['rounds'], 'alternating round')}, on "
        f"{plural(report['engines'][report['subject']]['threads'], 'thread')}."
    )


def _is_ratio(sentence: str, report: Report) -> bool:
    """Whether a sentence only says in words what the chart of ratios shows."""
    return any(sentence.startswith(f"{report['subject']} against {name}: ") for name in report["ratios"])


def _ratios(report: Report, other: str) -> Markup:
    ratio = report["ratios"][other]
    rows = []
    for key, name in _RATIOS:
        low, high = ratio.get(f"{key}_range", (None, None))
        between = "" if low is None else f" ({times(low)} to {times(high)})"
        rows.append(
            Whisker(name=name, value=ratio[key], low=low, high=high, text=f"{times(ratio[key])}{between}")
        )
    ends = [end for row in rows for end in (row.value, row.low, row.high) if end]
    return whiskers(rows, Axis.log([1.0, *ends], title="times better"), mark=1.0)


def _distribution(engines: Mapping[str, Any]) -> Markup:
    """Return a chart of the share of inputs that are answered within each latency; empty for older reports."""
    if not all("latency_quantiles_ms" in engine for engine in engines.values()):
        return Markup()
    lines = []
    for place, (name, engine) in enumerate(engines.items()):
        quantiles = engine["latency_quantiles_ms"]
        shares = np.linspace(0, 100, len(quantiles)).tolist()
        lines.append(Line(name=name, points=list(zip(quantiles, shares, strict=True)), style=style(place)))
    return Plot(
        x=Axis.log([x for line in lines for x, _ in line.points], title="latency (ms, logarithmic)"),
        y=Axis.linear([], title="inputs answered (%)", low=0.0, high=100.0),
        lines=lines,
        description="Share of inputs answered within each latency, a line for each engine",
    ).html()


def _rounds(engines: Mapping[str, Any]) -> Markup:
    """Return a chart of each round's median latency, which shows how much rounds differ."""
    lines = [
        Line(
            name=name,
            points=[(place + 1, one) for place, one in enumerate(engine["rounds"]["latency_p50_ms"])],
            style=style(number_of),
            dots=True,
        )
        for number_of, (name, engine) in enumerate(engines.items())
    ]
    most = max(len(line.points) for line in lines)
    x = Axis(low=0.5, high=most + 0.5, ticks=tuple(range(1, most + 1)), title="round")
    return Plot(
        x=x,
        y=Axis.log([y for line in lines for _, y in line.points], title="median (ms, logarithmic)"),
        lines=lines,
        height=180,
        description="Median latency of each round, a line for each engine",
    ).html()


def _lengths(engines: Mapping[str, Any]) -> Markup:
    """Return a chart of the median latency at each number of tokens, with the fit as a line if there is one."""
    lines = []
    for place, (name, engine) in enumerate(engines.items()):
        points = [(point["tokens"], point["p50_ms"]) for point in engine["lengths"]]
        lines.append(Line(name=name, points=points, style=style(place), dots=True))
        if coefficients := engine["costs"]["latency_by_length"]["coefficients"]:
            between = np.linspace(points[0][0], points[-1][0], 60)
            fitted = np.polynomial.Polynomial(list(coefficients.values()))(between)
            pairs = list(zip(between.tolist(), fitted.tolist(), strict=True))
            lines.append(Line(name=f"{name}, fitted", points=pairs, style="soft-rule"))
    return Plot(
        x=Axis.linear([x for line in lines for x, _ in line.points], title="tokens"),
        y=Axis.log([y for line in lines for _, y in line.points], title="median (ms, logarithmic)"),
        lines=lines,
        description="Median latency by number of tokens, a line for each engine",
    ).html()
