"""Calibration: whether a confidence of 80% is right in 80 of 100 answers; and the thresholds of labels."""

import math
from typing import Any, Final

from markupsafe import Markup

from ftool.report.axes import Axis
from ftool.report.figures import count, interval, percent, score
from ftool.report.folder_facts import FolderFacts, Found
from ftool.report.html_page import Section, fill, html_table
from ftool.report.plots import Bar, Dot, Line, Plot

_METRIC: Final = "expected_calibration_error"
_BIN: Final = 1 / 15  # the bins of ftool.evaluation.metrics.calibration


def reliability(facts: FolderFacts) -> Section | None:
    """Return the section; None if confidences or thresholds are not kept."""
    found = facts.best_told
    if found is None or not ("reliability" in found or "thresholds" in found):
        return None
    diagram = found.get("reliability")
    body = fill(
        "reliability",
        shown_on=facts.shown_on(found),
        diagram=diagram,
        error=score(diagram[_METRIC]) if diagram else "",
        between=_interval(found),
        verdict=_verdict(diagram) if diagram else "",
        chart=_chart(diagram) if diagram else "",
        thresholds=_thresholds(found),
        at_half=_at_half(found),
    )
    return Section(anchor="calibration", title="Calibration", body=body)


def _interval(found: Found) -> str:
    ends = found.get("intervals", {}).get(_METRIC, {})
    return interval(ends.get("low"), ends.get("high"))


def _verdict(diagram: Any) -> str:
    """Return whether the model is too sure of itself, on average over its answers."""
    total = sum(one["answers"] for one in diagram["bins"])
    gap = sum(one["answers"] * (one["confidence"] - one["right"]) for one in diagram["bins"]) / total
    if abs(gap) < 0.01:
        return "Its confidence is right to within one point on average."
    kind = "overconfident" if gap > 0 else "underconfident"
    return f"The model is {kind} by {100 * abs(gap):.1f} points on average."


def _chart(diagram: Any) -> Markup:
    shares = Axis.linear([], title="share that is right", low=0.0, high=1.0)
    counted, bins = diagram["counted"], diagram["bins"]
    lowest = math.floor(min(one["confidence"] for one in bins) * 5) / 5  # there is nothing to see below
    most = max(one["answers"] for one in bins)
    dots = [
        Dot(
            x=one["confidence"],
            y=one["right"],
            low=one["low"],
            high=one["high"],
            style="s1",
            title=(
                f"{count(one['answers'])} {counted} with a confidence of {percent(one['confidence'])} on average: "
                f"{percent(one['right'])} right"
            ),
        )
        for one in bins
    ]
    picture = Plot(
        x=Axis.linear([], low=lowest, high=1.0),
        y=shares,
        height=300,
        lines=[Line(name="perfect calibration", points=[(lowest, lowest), (1, 1)], style="soft-rule")],
        dots=dots,
        legend=[("the model, with 95% intervals", "s1")],
        description=f"Share of right answers by confidence; expected calibration error {score(diagram[_METRIC])}",
    )
    bars = [
        Bar(
            left=max(place * _BIN, lowest),
            right=min((place + 1) * _BIN, 1.0),
            y=one["answers"],
            title=f"{count(one['answers'])} {counted}",
        )
        for one in bins
        for place in [min(int(one["confidence"] / _BIN), 14)]
    ]
    below = Plot(
        x=Axis.linear([], title="confidence of the model", low=lowest, high=1.0),
        y=Axis.linear([0.0, most], title=counted, low=0.0, ticks=2),
        height=84,
        bars=bars,
        description=f"Number of {counted} by confidence",
    )
    return Markup('<div class="square">{}{}</div>').format(picture.html(), below.html())


def _thresholds(found: Found) -> Markup:
    known = found.get("thresholds")
    if not known:
        return Markup()
    per_class = found["metrics"].get("per_class", {})
    rows = [["label", "from a probability of", "precision", "recall"]]
    for label, limit in known.items():
        row = per_class.get(label)
        figures = ["", ""] if row is None else [f"{row['precision']:.2f}", f"{row['recall']:.2f}"]
        rows.append([label, f"{limit:.2f}", *figures])
    return html_table(rows)


def _at_half(found: Found) -> str:
    """Return what the thresholds change; "" if nothing is known of it."""
    metrics = found["metrics"]
    if not found.get("thresholds") or metrics.get("f1_macro_at_half") is None:
        return ""
    return (
        f"With these thresholds macro F1 is {score(metrics['f1_macro'])}; with 0.5 for every label it would be "
        f"{score(metrics['f1_macro_at_half'])}."
    )
